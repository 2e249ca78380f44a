"""TensorFlow's notices at its start."""

import sys
import types

import pytest

from primer.common import console
from primer.runtime.patches import startup_notices


@pytest.fixture
def captured(monkeypatch):
    """The calls of `console.capture_startup`."""
    calls = []
    monkeypatch.setattr(console, "capture_startup", lambda: calls.append(True))
    return calls


def patched(monkeypatch, *words, **environ):
    monkeypatch.setattr(sys, "argv", list(words))
    os_module = types.SimpleNamespace(environ=environ)
    startup_notices.patch(os_module)
    return os_module.environ


def test_t5s_script_keeps_them_for_its_log(monkeypatch, captured):
    assert patched(monkeypatch, "/bin/t5_mesh_transformer") == {}
    assert captured


def test_other_programs_do_not_show_them(monkeypatch, captured):
    assert patched(monkeypatch, "python") == {"TF_CPP_MIN_LOG_LEVEL": "2"}
    assert not captured


def test_the_users_setting_holds(monkeypatch):
    environ = patched(monkeypatch, "python", TF_CPP_MIN_LOG_LEVEL="0")
    assert environ == {"TF_CPP_MIN_LOG_LEVEL": "0"}


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--verbosity=1"], True),
        (["-v=1"], True),
        (["--verbosity", "2"], True),
        (["--verbosity=0"], False),
        (["--gin_param=x = 1"], False),
    ],
)
def test_verbosity_is_seen_before_absl_reads_it(arguments, expected):
    assert startup_notices._is_verbose(arguments) is expected
