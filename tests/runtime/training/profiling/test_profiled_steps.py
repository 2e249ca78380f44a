"""The settings of `--profile`, and what is refused."""

import gin
import pytest

from primer.errors import UsageError
from primer.runtime import callbacks
from primer.runtime.training.profiling.profiled_steps import ProfiledSteps


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    monkeypatch.setattr(callbacks, "_registry", callbacks._Registry())
    gin.clear_config()


@pytest.mark.parametrize(
    "bindings, message",
    [
        ("profile.steps = 0", r"profile.steps \(--profile\) = 0: expected a whole number"),
        ("profile.steps = 2\nprofile.warm_up = 0", "profile.warm_up = 0: expected a whole number"),
        ("profile.steps = 6", r"needs 22 steps .* and 20 are left .* utils.run.train_steps = 30"),
        ("profile.steps = 5", "no profiler is registered; give --module_import=t5_imports"),
    ],
)
def test_a_mistake_is_one_line(bindings, message):
    gin.parse_config(bindings)
    with pytest.raises(UsageError, match=message) as found:
        ProfiledSteps(None, start=10, goal=30)
    assert "\n" not in str(found.value).split("In call to configurable")[0].strip()


def test_without_the_setting_steps_run_as_they_are():
    def run():  # Without options.
        return "values"

    steps = ProfiledSteps(None, start=0, goal=1)
    with steps.building():
        assert steps.run(run) == "values"
    steps.report(1, [8, 128], None)
