"""Planning's callbacks: warnings before the first step, and the slots in operative_config.gin."""

import gin

from primer.gin_config import config_files, slots
from primer.planning import run_warnings, runtime_callbacks
from primer.runtime import callbacks
from tests import gin_models

FILES = config_files.composition_files("transformer", "relu", "tiny")


def test_a_warning_is_printed_for_each_line(monkeypatch, capsys):
    monkeypatch.setattr(callbacks, "command_line", lambda: (["a.gin"], ["b = 1"]))
    lines = {("a.gin", "b = 1"): ["first", "second"]}
    monkeypatch.setattr(
        run_warnings, "warning_lines", lambda files, params: lines[(*files, *params)]
    )
    runtime_callbacks.warn_of_settings_without_effect("nowhere")
    assert capsys.readouterr().err == "Warning: first\nWarning: second\n"


def test_the_operative_configuration_begins_with_the_slots(tmp_path):
    gin_models.parse(FILES)
    path = tmp_path / "operative_config.gin"
    path.write_text(gin.config_str())
    for _ in range(2):
        runtime_callbacks.add_slots_to_operative_config(str(tmp_path))
    assert path.read_text() == slots.as_comments() + "\n" + gin.config_str()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_directory_without_an_operative_configuration_is_unchanged(tmp_path):
    runtime_callbacks.add_slots_to_operative_config(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_both_are_registered():
    assert runtime_callbacks.warn_of_settings_without_effect in callbacks._registry.start_functions
    assert runtime_callbacks.add_slots_to_operative_config in callbacks._registry.start_functions
