"""The settings that schedules share: checked, and turned into numbers of steps.

Numbers of steps are above 1; a number up to 1 is a fraction of the run, as in Mesh-TensorFlow's own
schedules. Settings that do not fit the run are no errors: a remark says so before training starts.
"""

from typing import Any, NamedTuple

from primer.common import checks, graph_marks
from primer.errors import UsageError


class Phases(NamedTuple):
    """The phases of a schedule: the rate rises to `peak`, and has its final value from `end` on.

    Attributes:
        peak: the highest learning rate.
        warmup: the step at which the warmup ends.
        initial: the rate of step 0 as a fraction of the peak.
        end: the step at which the decay ends.
        final: the rate from then on as a fraction of the peak.
    """

    peak: float
    warmup: float
    initial: float
    end: float
    final: float


def phases(
    total_train_steps: float,
    learning_rate: float,
    warmup_steps: float = 0,
    initial_fraction: float = 0.0,
    decay_steps: float | None = None,
    final_fraction: float = 0.0,
) -> Phases:
    """Returns the phases that the settings describe, and adds remarks on those that the run lacks.

    Args:
        total_train_steps: the steps of the run.
        learning_rate: the highest rate.
        warmup_steps: steps, or a fraction of the run, 0 for no warmup.
        initial_fraction: the rate of step 0 as a fraction of the highest.
        decay_steps: the step at which the decay ends, or a fraction of the run; None: its end.
        final_fraction: the rate from then on as a fraction of the highest.

    Raises:
        UsageError: a setting has no such value, or the warmup is longer than the decay's end.
    """
    warmup = checked_warmup(warmup_steps, total_train_steps)
    end = decay_end(decay_steps, total_train_steps)
    if decay_steps is not None and warmup > end:
        raise UsageError(
            f"warmup_steps = {warmup_steps!r} ends at step {count(warmup)}, after decay_steps = "
            f"{decay_steps!r}, step {count(end)}, in a run of {count(total_train_steps)} steps: "
            "expected the end of the decay after the warmup"
        )
    return Phases(
        peak=rate("learning_rate", learning_rate),
        warmup=warmup,
        initial=fraction("initial_learning_rate_fraction", initial_fraction),
        end=max(end, warmup),
        final=fraction("final_learning_rate_fraction", final_fraction),
    )


def rate(setting: str, value: Any) -> float:
    """Raises UsageError unless a value is a learning rate, a number of 0 or more; returns it."""
    return checks.number_from_zero(setting, value, "a learning rate, a number of 0 or more")


def fraction(setting: str, value: Any) -> float:
    """Raises UsageError unless a value is a number from 0 to 1; returns it."""
    expected = "a fraction of the highest learning rate, from 0 to 1"
    if checks.number_from_zero(setting, value, expected) > 1:
        raise UsageError(f"{setting} = {value!r}: expected {expected}")
    return value


def steps(setting: str, value: Any, total_train_steps: float) -> float:
    """Returns a setting as a number of steps.

    Args:
        setting: the setting's name.
        value: above 1 a number of steps, else a fraction of the run.
        total_train_steps: the steps of the run.

    Raises:
        UsageError: the value is negative or no number.
    """
    expected = "a number of steps, or up to 1 a fraction of the run"
    checks.number_from_zero(setting, value, expected)
    return value * total_train_steps if value <= 1 else value


def checked_warmup(warmup_steps: Any, total_train_steps: float) -> float:
    """Returns the number of warmup steps, and adds a remark if the run ends before them."""
    warmup = steps("warmup_steps", warmup_steps, total_train_steps)
    if warmup > total_train_steps:
        graph_marks.add_remark(
            f"warmup_steps = {warmup_steps!r}: the run ends at step {count(total_train_steps)}, "
            f"before the warmup does at step {count(warmup)}."
        )
    return warmup


def decay_end(decay_steps: Any, total_train_steps: float) -> float:
    """Returns the step at which a decay ends, and adds a remark if the run has another end."""
    if decay_steps is None:
        return total_train_steps
    end = steps("decay_steps", decay_steps, total_train_steps)
    if not end:
        raise UsageError(f"decay_steps = {decay_steps!r}: expected a number above 0, or None")
    if end < total_train_steps:
        graph_marks.add_remark(
            f"decay_steps = {decay_steps!r}: the learning rate has its final value from step "
            f"{count(end)} to the end of the run, step {count(total_train_steps)}."
        )
    elif end > total_train_steps:
        graph_marks.add_remark(
            f"decay_steps = {decay_steps!r}: the run ends at step {count(total_train_steps)}, "
            f"before the learning rate has its final value at step {count(end)}."
        )
    return end


def increasing(setting: str, values: Any, total_train_steps: float) -> list[float]:
    """Returns a list of steps, and adds a remark on those that the run does not reach.

    Args:
        setting: the setting's name.
        values: numbers of steps, or fractions of the run, in increasing order.
        total_train_steps: the steps of the run.

    Raises:
        UsageError: no list of such numbers, or they do not increase.
    """
    expected = "a list of steps, or of fractions of the run, in increasing order"
    if not isinstance(values, (list, tuple)) or not values:
        raise UsageError(f"{setting} = {values!r}: expected {expected}")
    found = [steps(setting, value, total_train_steps) for value in values]
    if found[0] <= 0 or any(b <= a for a, b in zip(found, found[1:], strict=False)):
        raise UsageError(f"{setting} = {values!r}: expected {expected}")
    beyond = [step for step in found if step > total_train_steps]
    if beyond:
        graph_marks.add_remark(
            f"{setting} = {values!r}: the run ends at step {count(total_train_steps)}, before "
            f"step {', step '.join(map(count, beyond))}."
        )
    return found


def count(number: float) -> str:
    """Returns a number of steps as text: "10,000", "12.5"."""
    return f"{number:,.10g}"
