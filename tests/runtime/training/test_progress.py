"""The progress line of training."""

import re

import pytest

from primer.common import input_progress, live_line
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
