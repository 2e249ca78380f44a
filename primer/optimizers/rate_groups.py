"""Learning rates per group of weights: each weight's rate, and one optimizer for each rate."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common import checks, graph_marks
from primer.errors import UsageError
from primer.optimizers.base import names_of_weights
from primer.parametrization import weight_patterns

SETTING = "learning_rate_groups"


class Group(NamedTuple):
    """Weights that have one learning rate.

    Attributes:
        rate: the rate of the gradients' part of an update.
        decay_rate: the rate of the weight decay.
        factor: the further factor of the rate, which the decay does not have.
        indices: the weights' positions among all.
    """

    rate: Any
    decay_rate: Any
    factor: float
    indices: list[int]


def groups_of(
    variables: Sequence[mtf.Variable],
    learning_rate: Any,
    patterns: Sequence[tuple[str, Any]] = (),
    multiplier: Callable[[mtf.Variable], float] = lambda var: 1.0,
) -> list[Group]:
    """Returns the groups of the weights, those with the run's own rate first.

    Args:
        variables: the weights.
        learning_rate: the run's rate, a number or a TensorFlow scalar.
        patterns: pairs of a regular expression and a rate. The first expression that is found in a
            weight's name decides. A number is a factor of the run's rate; a schedule (a function of
            step and total_train_steps, or a list of factors as of utils.run.learning_rate_schedule)
            replaces it.
        multiplier: a further factor of a weight's rate, which does not change its decay.

    Raises:
        UsageError: a pair is malformed, or its expression is found in no name.
    """
    compiled = _compiled(patterns, names_of_weights(variables) if variables else [])
    rates = [learning_rate, *(_rate(value, learning_rate) for _, value in compiled)]
    members: dict[tuple[int, float], list[int]] = {}
    for index, var in enumerate(variables):
        found = (n for n, (pattern, _) in enumerate(compiled, 1) if pattern.search(var.name))
        members.setdefault((next(found, 0), multiplier(var)), []).append(index)
    return [
        Group(_times(rates[number], factor), rates[number], factor, indices)
        for (number, factor), indices in sorted(members.items())
    ]


def _compiled(patterns, names):
    is_list = isinstance(patterns, (tuple, list))
    if not is_list or not all(isinstance(e, (tuple, list)) and len(e) == 2 for e in patterns):
        raise UsageError(
            f"{SETTING} = {patterns!r}: expected pairs of a regular expression and a rate, as in "
            '[("embedding", 0.1)]'
        )
    pairs = []
    for entry in patterns:
        pattern, value = entry
        compiled = checks.regular_expression(SETTING, pattern)
        weight_patterns.require_match(SETTING, compiled, names)
        if not callable(value) and not isinstance(value, (list, tuple)):
            checks.number_from_zero(f"{SETTING}: the rate of {pattern!r}", value)
        pairs.append((compiled, value))
    return pairs


def _rate(value, learning_rate):
    """Returns the rate of a group: a multiple of the run's, or that of its own schedule."""
    if not callable(value) and not isinstance(value, (list, tuple)):
        if learning_rate is None:
            raise UsageError(
                f"{SETTING} with utils.run.learning_rate_schedule = None: a factor needs the run's "
                "rate; set learning_rate or schedule"
            )
        return _times(learning_rate, value)
    steps = graph_marks.schedule()[1]
    if steps is None:
        raise UsageError(f"{SETTING}: a schedule needs utils.run.train_steps, the steps of the run")
    rate = 1.0
    with mtf.utils.outside_all_rewrites():
        step = tf.train.get_or_create_global_step()
        for factor in value if isinstance(value, (list, tuple)) else [value]:
            rate = rate * (
                factor(step=step, total_train_steps=steps) if callable(factor) else factor
            )
        return tf.maximum(tf.cast(rate, tf.float32), 0.0)


def _times(rate, factor):
    return rate if factor == 1.0 else rate * factor
