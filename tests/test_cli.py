"""The command `primer`: fast help, exit codes, and errors of one line."""

import os
import signal
import subprocess
import sys
import time
import types

import pytest

import primer
from primer import cli
from primer.errors import RunError, UsageError
from tests.command_lines import run


def test_help_is_quick_and_imports_no_tensorflow():
    code = (
        "import sys; sys.argv = ['primer', '--help']\n"
        "from primer import cli\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'tensorflow' not in sys.modules and 'numpy' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(primer.__file__))}
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        seconds.append(time.monotonic() - began)
        assert done.returncode == 0, done.stderr
        assert all(name in done.stdout for name in cli.COMMANDS)
    assert min(seconds) < 0.5


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_help(command, capsys):
    assert run(command, "--help") == 0
    assert "--" in capsys.readouterr().out


@pytest.mark.parametrize(
    "outcome, code, line",
    [
        (None, 0, ""),
        (3, 3, ""),
        (UsageError("a setting is wrong"), 2, "primer: a setting is wrong\n"),
        (RunError("the work failed"), 1, "primer: the work failed\n"),
        (KeyboardInterrupt(), 130, "primer: interrupted\n"),
    ],
)
def test_a_command_ends_with_its_exit_code_and_one_line(outcome, code, line, monkeypatch, capsys):
    def run_command(options):
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    module = types.SimpleNamespace(add_arguments=lambda parser: None, run=run_command)
    monkeypatch.setitem(sys.modules, "primer.commands.demo", module)
    assert run("demo") == code
    captured = capsys.readouterr()
    assert captured.err == line and captured.out == ""


def test_the_error_of_an_unknown_command_lists_the_commands(capsys):
    assert run("trian") == 2
    assert "train" in capsys.readouterr().err


def test_sigterm_ends_a_command_behind_its_clean_up(monkeypatch, capsys):
    before, cleaned = signal.getsignal(signal.SIGTERM), []

    def run_command(options):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.sigtimedwait([], 1)  # Gives Python the time to call the handler.
        finally:
            cleaned.append(True)

    module = types.SimpleNamespace(add_arguments=lambda parser: None, run=run_command)
    monkeypatch.setattr(cli, "_command_module", lambda name: module)
    assert run("check") == 128 + signal.SIGTERM
    assert cleaned and capsys.readouterr().err == "primer: ended by SIGTERM\n"
    assert signal.getsignal(signal.SIGTERM) is before
