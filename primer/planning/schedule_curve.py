"""The learning rate of a run at its steps, from gin files alone: no model, no data."""

import bisect
import copy
import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import learning_rate_schedules

from primer.common import checks, gc_pause, graph_marks
from primer.errors import UsageError
from primer.gin_config import gin_state, isolation
from primer.gin_config.values import bound, configured
from primer.optimizers.training_optimizer import TrainingOptimizer
from primer.planning import parse
from primer.runtime.patches import learning_rates

# The steps of a run that gin does not say.
STEPS = 10000
# A curve has about as many points, and as many more around its highest.
POINTS = 1500


class ScheduleCurve(NamedTuple):
    """A learning rate from step 0 to the end of the run, or beyond it.

    Attributes:
        total: the number of steps of the run.
        steps: steps in increasing order, from 0 to the last.
        rates: the rate at each of them.
        remarks: what the schedule says of settings that do not fit the run, each with the rates at
            the steps that it names.
    """

    total: int
    steps: list[int]
    rates: list[float]
    remarks: list[tuple[str, dict[int, float]]]

    @property
    def peak(self) -> tuple[int, float]:
        """The first step with the highest rate, and the rate."""
        highest = max(self.rates)
        return self.steps[self.rates.index(highest)], highest

    @property
    def mean(self) -> float:
        """The mean rate of all steps but the last, as if the curve were straight between two."""
        pairs = list(zip(self.steps, self.rates, strict=True))
        area = sum(
            ((b - a) * (p + q) + p - q) / 2
            for (a, p), (b, q) in zip(pairs, pairs[1:], strict=False)
        )
        return area / self.steps[-1]


def curve_of_gin(
    files: Sequence[str], params: Sequence[str] = (), total: int | None = None
) -> ScheduleCurve:
    """Returns the learning rate that gin files describe.

    Everything that the files name has to be registered (by `import t5_imports`). Restores gin's
    configuration afterwards.

    Args:
        files: the values of `--gin_file`.
        params: the values of `--gin_param`.
        total: the number of steps of the run; None: `utils.run.train_steps` of the files, else
            `STEPS`.

    Raises:
        UsageError: gin cannot parse the files, or a setting of the schedule has no such value.
    """
    tf.disable_v2_behavior()
    with isolation.isolated(), gc_pause.paused():
        parse.parse_files(files, params)
        total = _total_steps() if total is None else checks.whole_number("--steps", total)
        try:
            return curve(schedule_in_force(), total)
        except UsageError:
            raise
        except (ValueError, TypeError, RuntimeError) as error:
            message = parse.first_line(error)
            raise UsageError(f"the schedule cannot be built: {message}") from error


def curve(schedule: Any, total: int, until: int | None = None) -> ScheduleCurve:
    """Returns the learning rate of a schedule.

    Args:
        schedule: the value of `utils.run.learning_rate_schedule`: a function, a list of factors, or
            a number.
        total: the number of steps of the run.
        until: the last step of the curve; None: `total`.
    """
    until = total if until is None else until
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        rate = tf.cast(_called(schedule, step, total), tf.float32)
        rate_at = session.make_callable(rate, [step])
        steps, rates = _sampled(lambda number: float(rate_at(number)), until)
        remarks = [
            (sentence, {number: float(rate_at(number)) for number in _steps_named(sentence)})
            for sentence in graph_marks.remarks()
        ]
    return ScheduleCurve(total, steps, rates, remarks)


def check_optimization() -> None:
    """Makes the rate and the optimizer that gin describes, for their errors; changes nothing.

    A run makes them again after its data are tokenized.

    Raises:
        UsageError: a setting of the schedule, or of an optimizer, has no such value.
    """
    with gin_state.recorded_calls_restored(), tf.Graph().as_default():
        schedule, optimizer = (
            copy.deepcopy(bound(f"utils.run.{name}"))
            for name in ("learning_rate_schedule", "optimizer")
        )
        rate = None
        if schedule is not None:
            rate = _called(schedule, tf.constant(0, tf.int64), _total_steps())
        if optimizer is not None:
            TrainingOptimizer(optimizer, learning_rate=rate)
            optimizer(learning_rate=rate)


def _called(schedule: Any, step: tf.Tensor, total: int) -> Any:
    """Returns the rate as Mesh-TensorFlow's `utils.run` and the estimator call for it."""
    if isinstance(schedule, (list, tuple)):
        schedule = functools.partial(
            learning_rate_schedules.product_learning_rate, factors=list(schedule)
        )
    if callable(schedule):
        schedule = functools.partial(schedule, total_train_steps=total)
    checked = learning_rates.not_negative(schedule)
    return checked(step=step) if callable(checked) else checked


def _sampled(rate_at: Callable[[int], float], last: int) -> tuple[list[int], list[float]]:
    """Returns steps from 0 to the last, more of them around the highest rate, and their rates."""
    steps = sorted({round(last * n / POINTS) for n in range(POINTS + 1)})
    rates = list(map(rate_at, steps))
    highest = rates.index(max(rates))
    before, after = steps[max(highest - 1, 0)], steps[min(highest + 1, len(steps) - 1)]
    for number in range(before, after, max((after - before) // POINTS, 1)):
        place = bisect.bisect_left(steps, number)
        if steps[place] != number:
            steps.insert(place, number)
            rates.insert(place, rate_at(number))
    return steps, rates


def _steps_named(sentence: str) -> list[int]:
    """Returns the whole steps that a remark names, as in "step 10,000"."""
    return [int(text.replace(",", "")) for text in re.findall(r"step ([\d,]*\d)", sentence)]


def schedule_in_force() -> Any:
    """Returns the value of `utils.run.learning_rate_schedule`, with gin's references followed.

    Raises:
        UsageError: it is None.
    """
    with gin_state.recorded_calls_restored():
        value = copy.deepcopy(bound("utils.run.learning_rate_schedule"))
    if value is None:
        raise UsageError(
            "utils.run.learning_rate_schedule = None: expected a schedule; list a file of "
            "schedules/"
        )
    return value


def _total_steps() -> int:
    """Returns `utils.run.total_run_steps`, else `utils.run.train_steps`, else STEPS."""
    total = configured("utils.run.total_run_steps") or configured("utils.run.train_steps", STEPS)
    if not isinstance(total, int):
        raise UsageError("utils.run.train_steps is no number here; give --steps")
    return total
