"""`primer average`: the checkpoints of each mean; see also checkpoints/test_averaging.py."""

import pytest

from primer.commands import average
from primer.errors import UsageError

PATHS = ["model.ckpt-10", "model.ckpt-20", "model.ckpt-30", "model.ckpt-40"]


@pytest.mark.parametrize(
    "size, expected",
    [
        (None, [[10, 20, 30, 40]]),
        (4, [[10, 20, 30, 40]]),
        (3, [[10, 20, 30], [20, 30, 40]]),
        (2, [[10, 20], [20, 30], [30, 40]]),
    ],
)
def test_windows_are_all_runs_of_consecutive_checkpoints(size, expected):
    assert average.windows(PATHS, size) == [
        [f"model.ckpt-{step}" for step in steps] for steps in expected
    ]


@pytest.mark.parametrize("size", [1, 0, -1, 5])
def test_a_window_of_another_size_is_refused(size):
    with pytest.raises(UsageError, match=f"--window = {size}: expected at least 2, .* 4 checkp"):
        average.windows(PATHS, size)


def test_one_checkpoint_has_no_mean():
    with pytest.raises(UsageError, match=r"one checkpoint \(model.ckpt-10\) has no mean"):
        average.windows(PATHS[:1])
