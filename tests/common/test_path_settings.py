"""Settings that are paths of data are declared by name."""

from primer.common import path_settings


def test_a_setting_is_declared_once(monkeypatch):
    monkeypatch.setattr(path_settings, "_names", {})
    path_settings.declare("a.folder", "b.glob")
    path_settings.declare("a.folder")
    assert path_settings.declared() == ("a.folder", "b.glob")
