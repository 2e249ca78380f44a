"""The progress line of training."""

import io
import logging
import re

import pytest

from primer.common import console, input_progress, live_line
from primer.runtime.training import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests set; [seconds]."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(live_line, "PLAIN_SECONDS", 5)
    return now


def test_the_speed_excludes_the_first_step(clock, capsys):
    with progress.Progress(start=0, goal=100, tokens=1000) as line:
        clock[0] += 60  # TensorFlow prepares the graph.
        line.update(1, 5.0)
        for step in range(2, 12):
            clock[0] += 2
            line.update(step, 4.0)
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == "step 1/100  loss 5.0000  17 tokens/s  1:39:00 left"
    assert last == "step 10/100  loss 4.0000  500 tokens/s  3:00 left"


def test_the_utilization_is_the_share_of_the_full_speed(clock, capsys):
    with progress.Progress(start=0, goal=3, tokens=1000, full_speed=2000.0) as line:
        for step in (1, 2, 3):
            clock[0] += 6
            line.update(step, 5.0)
    first, *_, last = capsys.readouterr().err.splitlines()
    assert "tokens/s  0:12 left" in first  # The first step prepares the graph.
    assert last == "step 3/3  loss 5.0000  167 tokens/s  8.3% utilization  0:00 left"


MEASURES = {
    "learning_rate": 6e-4,
    "gradient_norm": 0.53,
    "weight_norm": 84.2244,
    "update_ratio": 0.00123,
    "experts/load": 7.7,
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def log(monkeypatch, caplog):
    """The lines of the run's log so far, as a function."""
    monkeypatch.setattr(console._stderr, "terminals", [None])
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records if record.name == "primer"]


def test_a_plain_line_has_the_rate_and_the_norms_of_its_step(clock, capsys):
    with progress.Progress(start=0, goal=2, tokens=1000) as line:
        line.update(1, 5.0, {name: 0.0 for name in MEASURES})
        clock[0] += 1
        line.update(2, 4.0, MEASURES)
    assert capsys.readouterr().err == (
        "step 2/2  loss 4.0000  lr 6.0e-04  grad 0.53  weights 84.22  update/weights 1.2e-03  "
        "1.0k tokens/s  0:00 left\n"
    )


def test_a_line_shows_only_what_is_measured(clock, capsys):
    with progress.Progress(start=0, goal=1, tokens=1000) as line:
        clock[0] += 1
        line.update(1, 4.0, {"gradient_norm": float("nan"), "experts/load": 7.7})
    assert capsys.readouterr().err == "step 1/1  loss 4.0000  grad nan  1.0k tokens/s  0:00 left\n"


def test_a_terminal_has_a_short_line_and_the_log_the_plain_ones(clock, monkeypatch, log):
    stream = Terminal()
    monkeypatch.setattr(console, "terminal", lambda: stream)
    monkeypatch.setenv("COLUMNS", "200")
    with progress.Progress(start=0, goal=9, tokens=1000) as line:
        for step in range(1, 10):
            clock[0] += 1
            line.update(step, 4.0, MEASURES)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "step 7/9  loss 4.0000  lr 6.0e-04  grad 0.53  1.0k tokens/s" in shown
    assert "weights" not in shown and "7.7" not in shown
    # After 5 seconds, and at the end.
    assert [text[:9] for text in log()] == ["step 5/9 ", "step 9/9 "]
    assert all("grad 0.53  weights 84.22  update/weights 1.2e-03" in text for text in log())


def test_without_a_log_no_line_is_written_there(clock, log, monkeypatch):
    monkeypatch.setattr(console._stderr, "terminals", [])
    with progress.Progress(start=0, goal=1, tokens=1000) as line:
        line.update(1, 4.0)
    assert log() == []


def test_a_plain_line_appears_at_most_every_few_seconds_and_at_the_end(clock, capsys):
    with progress.Progress(start=0, goal=9, tokens=1) as line:
        for step in range(1, 10):
            clock[0] += 1
            line.update(step, 1.0)
    steps = re.findall(r"step (\d+)/9", capsys.readouterr().err)
    assert steps == ["5", "9"]


def test_a_new_epoch_is_reported(clock, capsys):
    reading = input_progress.InputProgress()
    reading.set_epoch_size("sotu", documents=7, tokens=250)
    with progress.Progress(start=0, goal=4, tokens=100, reading=reading) as line:
        for step in range(1, 5):
            clock[0] += 1
            line.update(step, 1.0)
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "another epoch" in line] == lines[:1]
    assert "epoch 2" in lines[-1]


@pytest.mark.parametrize(
    "number, text", [(0, "0"), (999, "999"), (1000, "1.0k"), (1234567, "1.2M"), (5e9, "5.0G")]
)
def test_large_numbers_have_a_unit_prefix(number, text):
    assert progress._short(number) == text


@pytest.mark.parametrize("seconds, text", [(59.9, "0:59"), (61, "1:01"), (3725, "1:02:05")])
def test_durations_have_hours_only_when_needed(seconds, text):
    assert progress._duration(seconds) == text
