"""The assignments that an optimizer returns, taken apart and put together again."""

from collections.abc import Sequence
from typing import NamedTuple

import mesh_tensorflow as mtf
from mesh_tensorflow import ops

from primer.errors import UsageError


class Assignment(NamedTuple):
    """One variable's part of a Mesh-TF `Assign` operation.

    Attributes:
        variable: the variable.
        value: the value that is assigned, or subtracted.
        assign_fn: Mesh-TF's function that does so.
    """

    variable: mtf.Variable
    value: mtf.Tensor
    assign_fn: object

    @property
    def subtracts(self) -> bool:
        """Whether the value is subtracted from the variable."""
        return self.assign_fn is ops.assign_sub_slice


def taken_apart(operations: Sequence[mtf.Operation]) -> list[Assignment]:
    """Returns the assignments of an optimizer's operations and removes these from the graph."""
    graph = operations[0].graph
    graph._operations = [o for o in graph._operations if o not in set(operations)]
    return [
        Assignment(variable, value, operation.assign_fn)
        for operation in operations
        for variable, value in zip(operation.variables, operation.inputs, strict=True)
    ]


def put_together(assignments: Sequence[Assignment]) -> list[mtf.Operation]:
    """Returns the operations of assignments, which Mesh-TF combines for stacked variables."""
    single = [ops.Assign([a.variable], [a.value], a.assign_fn) for a in assignments]
    return single[0].graph.combine_assignments(single)


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
