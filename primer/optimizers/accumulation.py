"""Gradients added up over several steps, so that the optimizer sees their mean.

Microbatches (`utils.serialize_num_microbatches`) do the same within one step; they save memory at a
given batch size. Accumulation makes the batch of an update larger than that of a step: for a batch
that the input pipeline cannot deliver, or to keep `utils.run.batch_size` and its data order.

The global step counts steps, not updates: schedules, and Adafactor's decay rate, are functions of
it. Tensor2Tensor divides its step by the number of accumulated ones; here a schedule of N steps
stays one of N steps, of which every n-th updates.
"""

from collections.abc import Sequence
from typing import NamedTuple

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common import graph_marks
from primer.optimizers import assignments, optimizer_state

SLOT = "accumulated"
COUNT = "accumulated_steps"


class Accumulated(NamedTuple):
    """The gradients of a step with those of the steps before it.

    Attributes:
        gradients: the means since the last update, in float32; None where there is no gradient.
        is_complete: whether this step updates, a bool scalar; None: every step does.
        assignments: those of the sums and of their number.
    """

    gradients: list[mtf.Tensor | None]
    is_complete: mtf.Tensor | None
    assignments: list[assignments.Assignment]


def accumulate(
    gradients: Sequence[mtf.Tensor | None], variables: Sequence[mtf.Variable], steps: int
) -> Accumulated:
    """Returns the mean gradients of up to `steps` steps.

    Args:
        gradients: those of this step; None where the loss does not depend on the weight.
        variables: the weights.
        steps: the number of steps of an update, 1 or more.
    """
    if steps == 1:
        return Accumulated(list(gradients), None, [])
    _remark_on_rest(steps)
    mesh = variables[0].mesh
    before = optimizer_state.state(mesh, COUNT)
    number = before + 1.0
    # Not "equal": a resumed run may have a smaller number of steps.
    is_complete = mtf.greater_equal(number, float(steps))
    keep = 1.0 - mtf.to_float(is_complete)
    means: list[mtf.Tensor | None] = []
    found = [assignments.to_state(before, number * keep)]
    for gradient, variable in zip(gradients, variables, strict=True):
        if gradient is None:
            means.append(None)
            continue
        state = optimizer_state.slot(variable, SLOT)
        total = state + mtf.to_float(gradient)
        means.append(_divided(total, number))
        found.append(assignments.to_state(state, total * keep))
    return Accumulated(means, is_complete, found)


def _divided(total, number):
    """Returns total / number; mtf.divide multiplies by the rounded reciprocal instead."""
    return mtf.slicewise(
        tf.divide, [total, number], output_shape=total.shape, splittable_dims=total.shape.dims
    )


def _remark_on_rest(steps):
    """Says that the last steps of a run do not update, where the run's length is known."""
    total = graph_marks.schedule()[1]
    if total and total % steps:
        graph_marks.add_remark(
            f"utils.run.train_steps = {total} is no multiple of accumulate_steps = {steps}: the "
            f"gradients of the last {total % steps} steps update nothing"
        )
