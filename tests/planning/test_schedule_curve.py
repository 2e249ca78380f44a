"""The learning rate of gin files at steps."""

import gin
import numpy as np
import pytest

from primer.errors import UsageError
from primer.planning import schedule_curve

COSINE = ["models/defaults.gin", "schedules/cosine.gin"]


@pytest.fixture(scope="module", autouse=True)
def registered():
    import t5_imports  # noqa: F401


def test_the_numbers_of_a_curve():
    found = schedule_curve.curve_of_gin(
        ["models/defaults.gin", "schedules/linear.gin"],
        ["learning_rate = 0.5", "warmup_steps = 777"],
        total=100_000,
    )
    assert found.total == 100_000
    assert (found.steps[0], found.steps[-1]) == (0, 100_000)
    assert np.all(np.diff(found.steps) > 0)
    # Between two of the 1,500 even points.
    assert found.peak == (777, 0.5)
    assert (found.rates[0], found.rates[-1]) == (0, 0)
    assert found.mean == pytest.approx(0.25, rel=1e-4)
    assert found.remarks == []


def test_the_steps_are_those_of_the_files_else_ten_thousand():
    assert schedule_curve.curve_of_gin(COSINE).total == 10_000
    assert schedule_curve.curve_of_gin([*COSINE, "run/smoke.gin"]).total == 10
    assert schedule_curve.curve_of_gin([*COSINE, "run/smoke.gin"], total=20).total == 20
    with pytest.raises(UsageError, match="--steps = 0: expected a whole number"):
        schedule_curve.curve_of_gin(COSINE, total=0)


def test_remarks_have_the_rates_of_their_steps():
    found = schedule_curve.curve_of_gin(
        COSINE, ["learning_rate = 1.0", "decay_steps = 30000", "warmup_steps = 0"], 20_000
    )
    (sentence, rates), *others = found.remarks
    assert "before the learning rate has its final value at step 30,000" in sentence
    assert rates == {20_000: pytest.approx(0.1 + 0.9 * 0.25), 30_000: pytest.approx(0.1)}
    assert not others


def test_a_list_of_factors_and_a_number():
    found = schedule_curve.curve_of_gin(["models/defaults.gin", "run/demo.gin"])
    assert found.total == 256
    assert found.peak == (26, pytest.approx(0.08))
    found = schedule_curve.curve_of_gin(["models/defaults.gin"], ["schedule = 0.25"], 100)
    assert found.rates == [0.25] * 101
    # Mesh-TensorFlow's own, which takes no vector of steps and is negative beyond the end.
    found = schedule_curve.curve_of_gin(
        ["models/defaults.gin"], ["schedule = @learning_rate_schedules.slanted_triangular"], 100
    )
    assert found.peak == (10, pytest.approx(0.01))


def test_a_learning_rate_that_the_schedule_does_not_read_is_remarked():
    def remarks(*params, files=("models/defaults.gin",)):
        return [sentence for sentence, _ in schedule_curve.curve_of_gin(files, params).remarks]

    assert remarks() == []
    assert remarks("learning_rate = 0.02") == [
        "learning_rate = 0.02 has no effect: the schedule does not read it; schedules/noam.gin and "
        "schedules/rsqrt.gin are T5's schedules that do."
    ]
    for name in ("cosine", "rsqrt"):
        files = ("models/defaults.gin", f"schedules/{name}.gin")
        assert not any("no effect" in text for text in remarks("learning_rate = 0.02", files=files))


@pytest.mark.parametrize(
    "files, params, message",
    [
        (COSINE, ["learning_rate = None"], "learning_rate = None: expected a learning rate"),
        (COSINE, ["schedule = @no_such_schedule"], "no_such_schedule"),
        (COSINE, ["schedule = None"], "learning_rate_schedule = None: expected a schedule"),
        (["models/defaults.gin", "schedules/t2t.gin"], [], "set d_model, or list a file of sizes/"),
        (["no_such_file.gin"], [], "no_such_file.gin"),
        (COSINE, ["schedule = -0.1"], "-0.1: expected a rate of 0 or more"),
    ],
)
def test_errors_are_one_line_and_leave_gin_as_it_was(files, params, message):
    before = gin.config_str()
    with pytest.raises(UsageError, match=message):
        schedule_curve.curve_of_gin(files, params)
    assert gin.config_str() == before
