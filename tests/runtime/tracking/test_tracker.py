"""Trackers: which settings make one, what it is told, and errors of a service."""

import json
import sys

import gin
import pytest

from primer.errors import RunError, UsageError
from primer.runtime import callbacks
from primer.runtime.tracking import tracker
from primer.runtime.training import validation  # noqa: F401


class Recorder:
    """A tracker that remembers what it is told."""

    def __init__(self, fails_at=None):
        self.told, self.fails_at = [], fails_at

    def open(self, run):
        if self.fails_at == "open":
            raise OSError("no network\nsecond line")
        self.run = run

    def log(self, step, values):
        if self.fails_at == step:
            raise OSError("gone")
        self.told.append((step, values))

    def close(self, failed):
        self.failed = failed


_chosen = []


@gin.configurable(module="tests.tracking")
def recording_tracker():
    return _chosen[-1]


def choose(recorder):
    _chosen.append(recorder)
    gin.parse_config("tracking.tracker = @recording_tracker()")
    return recorder


def test_without_a_setting_nothing_is_tracked(tmp_path):
    with tracker.opened(str(tmp_path), 0) as tracking:
        tracking.log(1, {"loss": 2.0})
    assert not list(tmp_path.iterdir())


def test_a_tracker_is_told_of_the_run_and_its_numbers():
    gin.parse_config("a_macro = 5\nvalidation.every = 50\n")
    recorder = choose(Recorder())
    with tracker.opened("runs/a", 7) as tracking:
        tracking.log(8, {"loss": 2.5, "bad": float("nan")})
    assert recorder.told == [(8, {"loss": 2.5})] and recorder.failed is False
    assert recorder.run[:2] == ("runs/a", 7)
    assert recorder.run.config["a_macro"] == 5
    assert recorder.run.config["validation.every"] == 50
    assert recorder.run.config["tracking.tracker"] == "@recording_tracker()"
    json.dumps(dict(recorder.run.config))


def test_an_error_at_the_beginning_ends_the_run():
    choose(Recorder(fails_at="open"))
    with pytest.raises(RunError, match="does not begin: OSError: no network; without it"):
        with tracker.opened("runs/a", 0):
            pass


def test_a_later_error_is_said_once_and_training_goes_on(capfd):
    recorder = choose(Recorder(fails_at=2))
    with tracker.opened("runs/a", 0) as tracking:
        for step in (1, 2, 3):
            tracking.log(step, {"loss": 1.0})
    assert recorder.told == [(1, {"loss": 1.0})]
    assert capfd.readouterr().err.count("The tracker failed at step 2") == 1


def test_a_run_that_fails_is_closed_as_failed():
    recorder = choose(Recorder())
    with pytest.raises(ValueError), tracker.opened("runs/a", 0):
        raise ValueError
    assert recorder.failed is True


def test_what_is_no_tracker_is_refused_before_the_run():
    gin.bind_parameter("tracking.tracker", "wandb")
    callbacks.run_checks("perplexity_eval")
    with pytest.raises(UsageError, match="'wandb', without open, log, close; expected"):
        tracker.check("train")


def test_without_wandb_one_line_says_what_to_install(monkeypatch):
    from primer.runtime.tracking import wandb_tracker  # noqa: F401

    monkeypatch.setitem(sys.modules, "wandb", None)
    gin.parse_config("tracking.tracker = @WandbTracker()")
    with pytest.raises(UsageError, match=r"pip install 'primer\[wandb\]'"):
        tracker.check("train")
