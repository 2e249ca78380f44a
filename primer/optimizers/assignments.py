"""The assignments that an optimizer returns, taken apart, made conditional, put together again."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow import ops

from primer.errors import UsageError


class Assignment(NamedTuple):
    """One variable's part of a Mesh-TF `Assign` operation.

    Attributes:
        variable: the variable.
        value: the value that is assigned, or subtracted.
        assign_fn: Mesh-TF's function that does so.
        condition: a bool scalar; where it is false the variable stays as it is. None: always true.
    """

    variable: mtf.Variable
    value: mtf.Tensor
    assign_fn: Any = ops.assign_slice
    condition: mtf.Tensor | None = None

    @property
    def subtracts(self) -> bool:
        """Whether the value is subtracted from the variable."""
        return self.assign_fn is ops.assign_sub_slice


class ConditionalAssign(ops.Assign):
    """An `Assign` that leaves its variables as they are, bit for bit, where a condition is false.

    It selects between the old and the new value of each slice, which are both of the type that the
    variable is stored in: nothing is rounded to the type of the activations, and a value that is
    NaN is not used.

    Args:
        variables, values, assign_fn: as of Mesh-TF's class.
        condition: a bool scalar.
    """

    def __init__(
        self,
        variables: Sequence[mtf.Variable],
        values: Sequence[mtf.Tensor],
        assign_fn: Any,
        condition: mtf.Tensor,
    ) -> None:
        super().__init__(list(variables), list(values), assign_fn)
        # Not among the inputs: Mesh-TF pairs these with the variables when it stacks them.
        self._condition = condition

    def lower(self, lowering: mtf.Lowering) -> None:
        """See base class."""

        def assign(variable, old, value_and_condition):
            value, condition = value_and_condition
            value = tf.cast(value, variable.slice_dtype)
            new = old - value if self.assign_fn is ops.assign_sub_slice else value
            return tf.assign(old, tf.where_v2(condition, new, old))

        conditions = lowering.tensors[self._condition].to_laid_out_tensor().all_slices
        parts = []
        for variable, value in zip(self.variables, self.inputs, strict=True):
            slices = lowering.tensors[value].to_laid_out_tensor().all_slices
            pairs = list(zip(slices, conditions, strict=True))
            parts.append(lowering.variables[variable].assign_to_slices(assign, pairs))
        lowering.operations[self] = tf.group(parts)


def taken_apart(operations: Sequence[mtf.Operation]) -> list[Assignment]:
    """Returns the assignments of an optimizer's operations and removes these from the graph."""
    if not operations:
        return []
    graph = operations[0].graph
    graph._operations = [o for o in graph._operations if o not in set(operations)]
    return [
        Assignment(variable, value, operation.assign_fn)
        for operation in operations
        for variable, value in zip(operation.variables, operation.inputs, strict=True)
    ]


def to_state(state: mtf.Tensor, value: mtf.Tensor) -> Assignment:
    """Returns the assignment of a new value to a variable, whose value is `state`."""
    return Assignment(state.operation, value)


def only_if(condition: mtf.Tensor, assignments: Sequence[Assignment]) -> list[Assignment]:
    """Returns assignments that take place where their own condition and this one are true."""
    both: dict[mtf.Tensor | None, mtf.Tensor] = {None: condition}
    for own in [a.condition for a in assignments]:
        if own not in both:
            both[own] = mtf.logical_and(own, condition)
    return [a._replace(condition=both[a.condition]) for a in assignments]


def put_together(assignments: Sequence[Assignment]) -> list[mtf.Operation]:
    """Returns the operations of assignments, combined as Mesh-TF needs it to stack variables.

    Raises:
        UsageError: a conditional assignment neither assigns nor subtracts.
    """
    groups: dict[tuple, list[Assignment]] = {}
    for assignment in assignments:
        groups.setdefault((assignment.assign_fn, assignment.condition), []).append(assignment)
    return [_operation(group) for group in groups.values()]


def _operation(group):
    assign_fn, condition = group[0].assign_fn, group[0].condition
    variables, values = [a.variable for a in group], [a.value for a in group]
    if condition is None:
        return ops.Assign(variables, values, assign_fn)
    if assign_fn not in (ops.assign_slice, ops.assign_sub_slice):
        raise UsageError(
            f"the optimizer updates {variables[0].name} other than by mtf.assign and "
            "mtf.assign_sub, which accumulate_steps and skip_outliers need"
        )
    return ConditionalAssign(variables, values, assign_fn, condition)


def changes_of_weights(assignments: Sequence[Assignment], optimizer: str) -> list[Assignment]:
    """Returns the assignments to weights; the value of each is subtracted.

    Args:
        assignments: an optimizer's.
        optimizer: its name, for the message.

    Raises:
        UsageError: the optimizer assigns to a weight in another way.
    """
    found = [a for a in assignments if a.variable.trainable]
    for assignment in found:
        if not assignment.subtracts:
            raise UsageError(
                f"utils.run.optimizer = @{optimizer} assigns to {assignment.variable.name} other "
                "than by mtf.assign_sub, which norms and averages of updates need"
            )
    return found
