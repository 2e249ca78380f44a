"""Epochs as the progress line shows them, and where pipelines report to."""

import pytest

from primer.common import input_progress


def test_epochs_are_counted_in_tokens():
    progress = input_progress.InputProgress()
    assert progress.describe_epochs(10) == "" and progress.epoch_messages(10) == []
    progress.set_epoch_size("five", 0, 0)
    assert progress.describe_epochs(10) == "epoch 1" and progress.epoch_messages(10) == []
    progress.set_epoch_size("five", 5, 15)
    assert [progress.describe_epochs(n) for n in (0, 14, 15, 44, 45)] == [
        f"epoch {n}" for n in (1, 1, 2, 3, 4)
    ]
    assert progress.epoch_messages(14) == []
    (line,) = progress.epoch_messages(15)
    assert line.startswith("five: training has used the 15 tokens of rows that an epoch of 5 doc")
    assert progress.epoch_messages(30) == []


def test_the_tasks_of_a_mixture_share_the_tokens():
    progress = input_progress.InputProgress()
    progress.shares = {"a": 3.0, "b": 1.0, "c": 4.0}
    progress.set_epoch_size("a", 5, 50)
    progress.set_epoch_size("b", 5, 100)
    # Of 800 tokens 300 are from a, 100 from b; of c nothing is known.
    assert progress.describe_epochs(0) == "epoch a 1, b 1" and progress.epoch_messages(0) == []
    assert (
        progress.describe_epochs(800) == "epoch a 7, b 2" and len(progress.epoch_messages(800)) == 2
    )


def test_tasks_outside_of_the_mixture_are_not_shown():
    progress = input_progress.InputProgress()
    progress.shares = {"a": 1.0}
    progress.set_epoch_size("a", 5, 50)
    progress.set_epoch_size("validation", 1, 1)
    assert progress.describe_epochs(60) == "epoch a 2"
    assert progress.epoch_messages(0) == [] and len(progress.epoch_messages(60)) == 1


def test_pipelines_report_to_the_innermost_block():
    outer, inner = input_progress.InputProgress(), input_progress.InputProgress()
    assert input_progress.current() is None
    with input_progress.reporting_to(outer) as yielded:
        assert yielded is input_progress.current() is outer
        with pytest.raises(ValueError), input_progress.reporting_to(inner):
            assert input_progress.current() is inner
            raise ValueError
        assert input_progress.current() is outer
    assert input_progress.current() is None


def test_tasks_report_what_decides_their_rows():
    progress = input_progress.InputProgress()
    progress.describe_task("text", ("a",), split="train")
    assert (progress.tasks, progress.files) == ({"text": {"split": "train"}}, {"text": ["a"]})
