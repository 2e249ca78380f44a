"""To which part of the model, and to which phase of the step, a Mesh-TensorFlow operation belongs.

The names say it: an operation has the scopes of its layer; `gradients` names those of the backward
pass after the operation that they are the gradient of; an optimizer's are below the name of the
weight; a recomputed operation has the name of the first one.
"""

from collections.abc import Iterable
from typing import Any

import mesh_tensorflow as mtf

from primer.cost import owners

FORWARD, RECOMPUTE, BACKWARD, UPDATE = PHASES = ("forward", "recompute", "backward", "update")
# Parts outside the layers of the stack: what comes before it, what comes after it (the last norm,
# logits and loss), what an optimizer computes for all weights, variables stacked over several
# layers.
EMBEDDING, OUTPUT, OPTIMIZER, STACKED = "embedding", "output", "optimizer", "stacked"
_GRADIENTS = "gradients"


class Parts:
    """Finds the part and the phase of the operations of a graph.

    Args:
        model: a Mesh-TF Unitransformer.
        operations: all operations, in the order in which a step computes them, before Mesh-TF
            stacks equal variables.

    Attributes:
        names: the parts in the model's order.
    """

    def __init__(self, model: Any, operations: Iterable[mtf.Operation]) -> None:
        self._layers = owners.layers_by_name(model)
        self.names = [EMBEDDING, *self._layers, OUTPUT, STACKED, OPTIMIZER]
        self._found: dict[mtf.Operation, tuple[str, str]] = {}
        # {name: (part, phase)} of variables, and of operations outside the layers {name: part}.
        self._variables: dict[str, tuple[str, str]] = {}
        self._outside: dict[str, str] = {}
        # Names of the operations of the forward pass.
        self._seen: set[str] = set()
        self._is_after_stack = self._is_after_gradients = False
        for operation in operations:
            phase = self._phase(operation)
            part = self._part(operation.name.split(f"/{_GRADIENTS}/")[0], phase)
            self._found[operation] = part, phase
            if isinstance(operation, mtf.Variable):
                self._variables[operation.name] = part, phase

    def of(self, operation: mtf.Operation) -> tuple[str, str]:
        """Returns the part and the phase of an operation."""
        if operation not in self._found:
            self._found[operation] = self._of_stacking(operation)
        return self._found[operation]

    def of_variable(self, variable: mtf.Variable) -> tuple[str, str]:
        """Returns the part of a variable, and the phase that it is made in: UPDATE for a slot."""
        return self._variables[variable.name]

    def _phase(self, operation: mtf.Operation) -> str:
        if _GRADIENTS in operation.name.split("/"):
            self._is_after_gradients = True
            return BACKWARD
        if self._is_after_gradients:
            # A loop over microbatches returns the sums of their gradients.
            is_loop = isinstance(operation, mtf.WhileLoopOperation)
            return BACKWARD if is_loop else RECOMPUTE if self._is_repeated(operation) else UPDATE
        self._seen.add(operation.name)
        return FORWARD

    def _is_repeated(self, operation: mtf.Operation) -> bool:
        return operation.name in self._seen and not isinstance(operation, mtf.Variable)

    def _part(self, name: str, phase: str) -> str:
        layer = owners.owner(f"{owners.without_model(name)}/", self._layers)
        if layer:
            self._is_after_stack = self._is_after_stack or phase == FORWARD
            return layer
        if phase == UPDATE:
            return self._part_of_weight(name)
        return self._outside.setdefault(name, OUTPUT if self._is_after_stack else EMBEDDING)

    def _part_of_weight(self, name: str) -> str:
        """Returns the part of what an optimizer makes for a weight outside the layers."""
        weights = [weight for weight in self._variables if name.startswith(weight)]
        return self._variables[max(weights, key=len)][0] if weights else OPTIMIZER

    def _of_stacking(self, operation: mtf.Operation) -> tuple[str, str]:
        """Returns the part and the phase of an operation that stacks variables or unstacks them."""
        if isinstance(operation, mtf.StackedVariable):
            found = [self._variables[name] for name in operation.original_names]
        else:
            found = [self.of(tensor.operation) for tensor in operation.inputs]
        parts, phases = {part for part, _ in found}, [phase for _, phase in found]
        is_value = isinstance(operation, mtf.StackOperation)  # A value that will be assigned.
        phase = UPDATE if is_value else min(phases, key=PHASES.index)
        return parts.pop() if len(parts) == 1 else STACKED, phase
