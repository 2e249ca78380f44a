"""Learning rates by patterns of variables' names, in a run of `utils.run`."""

import re

import numpy as np
import pytest

from primer.errors import UsageError
from tests.runtime import tiny

# Both patterns match the embedding's name; the first has the rate 0.
SCHEDULES = (
    "utils.run.optimizer = @{name}",
    "{name}.variable_search = ['embedding', 'embedding|/o$']",
    "{name}.alt_lr_schedules = [[0.0], None]",
    "utils.run.train_steps = 2",
    "utils.run.learning_rate_schedule = 0.01",
)


def change(model_dir):
    """Returns {name: the largest change} of the weights from step 0 to step 2."""
    before, after = tiny.variables(model_dir, 0), tiny.variables(model_dir, 2)
    slots = re.compile("slot|adam_[mv]$")
    weights = [name for name in before if not slots.search(name) and before[name].ndim]
    return {name: np.abs(after[name] - before[name]).max() for name in weights}


@pytest.mark.parametrize("name", ["AdafactorWithMultiLRSchedule", "AdamWithMultiLRSchedule"])
def test_the_first_matching_pattern_decides(name, tmp_path):
    tiny.run(tmp_path, *(line.format(name=name) for line in SCHEDULES))
    changed = change(tmp_path)
    still = {name for name, most in changed.items() if most == 0}
    assert still == {name for name in changed if "embedding" in name} != set()


def test_patterns_and_schedules_must_be_as_many(tmp_path):
    lines = [line.format(name="AdamWithMultiLRSchedule") for line in SCHEDULES]
    with pytest.raises((UsageError, SystemExit)):
        tiny.run(tmp_path, *lines, "AdamWithMultiLRSchedule.alt_lr_schedules = [[0.0]]")
