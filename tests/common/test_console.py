"""Redirection of standard error, in processes whose descriptor 2 is a file."""

import os
import re
import subprocess
import sys

import pytest

from primer.common import console
from tests.paths import ROOT

FLOOD = "os.write(2, b'from C++\\n'); logging.getLogger('absl').warning('from Python')"
HEAD = "import os, sys, logging; from primer.common import console\n"
# TensorFlow, which a log's folder needs, without the lines that it writes at its import.
QUIET = """
kept = os.dup(2); os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
import tensorflow
os.dup2(kept, 2)
"""


def run(program, cwd):
    """Returns standard error and the exit code of a program."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + program],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stderr=subprocess.PIPE,
        text=True,
    )
    return done.stderr, done.returncode


def test_output_goes_to_the_log_and_messages_to_the_terminal(tmp_path):
    said, _ = run(
        QUIET
        + f"""
with console.redirected_to_log('runs/a', 'train'):
    {FLOOD}
    console.say('a message')
    console.log('for the log')
    with console.redirected_to_log('runs/b', 'train'):  # Inside another: no second log.
        {FLOOD}
    print('to sys.stderr', file=sys.stderr)
console.log('nowhere')
os.write(2, b'afterwards\\n')
""",
        tmp_path,
    )
    assert said.splitlines() == ["a message", "to sys.stderr", "afterwards"]
    log = (tmp_path / "runs" / "a" / "train.log").read_text()
    assert log.count("from C++") == log.count("WARNING from Python") == 2
    assert re.search(r"^\d{4}-\S+ \S+ INFO for the log$", log, re.MULTILINE)
    assert "nowhere" not in log and not (tmp_path / "runs" / "b").exists()


@pytest.mark.slow
def test_another_mode_has_a_log_of_its_name_to_which_blocks_append(tmp_path):
    block = f"with console.redirected_to_log('.', 'eval'):\n    {FLOOD}\n"
    assert run(QUIET + block + block, tmp_path) == ("", 0)
    assert (tmp_path / "eval.log").read_text().count("from C++") == 2


@pytest.mark.slow
def test_a_traceback_reaches_the_terminal(tmp_path):
    said, code = run(
        "\nwith console.redirected_to_log('.', 'train'):\n    raise ValueError('the reason')",
        tmp_path,
    )
    assert code == 1 and "ValueError: the reason" in said


def test_startup_output_is_put_into_the_log(tmp_path):
    said, _ = run(
        """
console.capture_startup()
os.write(2, b'early\\n')
console.say('a message')
import tensorflow
with console.redirected_to_log('.', 'train'):
    os.write(2, b'late\\n')
""",
        tmp_path,
    )
    assert said == "a message\n"
    log = (tmp_path / "train.log").read_text()
    assert "early" in log and log.index("early") < log.index("late")


@pytest.mark.parametrize("discard, kept", [("", True), ("console.discard_startup()", False)])
def test_startup_output_without_a_log(tmp_path, discard, kept):
    """A process that ends before its log is open keeps the output, unless it is discarded."""
    said, code = run(
        f"console.capture_startup(); os.write(2, b'early\\n'); {discard}\nraise SystemExit(3)",
        tmp_path,
    )
    assert code == 3 and ("early" in said) is kept


def test_a_message_is_said_once(capsys):
    console.say_once.cache_clear()
    for message in ("one", "two", "one"):
        console.say_once(message)
    assert capsys.readouterr().err == "one\ntwo\n"
