"""Mesh-TF 0.1.21: a loop's operations cannot tell its iterations apart; ten run at a time.

`WhileLoopOperation` lowers its body once and gives the operations in it no iteration number, so
that a random operation has nothing to key its draws by; and an operation that no output of the body
needs never runs. The patch keeps, on the Lowering, the bodies that are being lowered: each with the
scalar that counts its iterations and with the operations that have to run in each of them.

TensorFlow's loops start up to ten iterations before the first one ends, where operands allow it.
The microbatches of a step, whose forward passes need nothing of one another, would keep the
activations of ten of them. The patch sets one at a time.
"""

import dataclasses
import functools
from types import ModuleType
from typing import TYPE_CHECKING

import tensorflow.compat.v1 as tf

if TYPE_CHECKING:  # The package is not complete yet when this module is imported.
    import mesh_tensorflow as mtf

# The attribute of a mtf.Lowering with the LoopBody objects. `lower(lowering)` is the one argument
# that Mesh-TF passes from a loop to the operations in its body.
_BODIES = "primer_loop_bodies"


@dataclasses.dataclass
class LoopBody:
    """The body of a loop while it is lowered.

    Attributes:
        iteration: the integer scalar that counts the iterations.
        side_effects: operations that must run in every iteration though no output needs them.
    """

    iteration: tf.Tensor
    side_effects: list[tf.Operation] = dataclasses.field(default_factory=list)


def patch(ops: ModuleType) -> None:
    """Patches `mesh_tensorflow.ops.WhileLoopOperation`."""
    ops.WhileLoopOperation.__init__ = _marked_loop_init(ops.WhileLoopOperation.__init__)


def open_bodies(lowering: "mtf.Lowering") -> list[LoopBody]:
    """Returns the loop bodies that are being lowered, outermost first."""
    return vars(lowering).setdefault(_BODIES, [])


class _BodyBorder:
    """A pseudo operation at the beginning or the end of a loop's body."""

    def __init__(self, loop, opens):
        self.name = "random_key"  # Graphs on disk have this name scope.
        self._loop = loop
        self._opens = opens

    def lower(self, lowering):
        if self._opens:
            counter = lowering.tensors[self._loop._body_inputs[0]]
            iteration = counter.to_laid_out_tensor().tensor_list[0]
            open_bodies(lowering).append(LoopBody(iteration))
        else:
            body = open_bodies(lowering).pop()
            _run_with(body.side_effects, lowering, self._loop._body_outputs[0])


def _run_with(side_effects, lowering, output):
    """Makes an output of the body, its counter, depend on the side effects."""
    if not side_effects:
        return
    laid_out = lowering.tensors[output].to_laid_out_tensor()
    with tf.control_dependencies(side_effects):
        parts = [tf.identity(part) for part in laid_out.tensor_list]
    lowering.tensors[output] = type(laid_out)(parts)


def _marked_loop_init(stock_init):
    """Marks the loops whose first variable is an integer scalar: microbatch number, position."""

    @functools.wraps(stock_init)
    def init(loop, *args, **kwargs):
        stock_init(loop, *args, **kwargs)
        loop._tf_kwargs = {"parallel_iterations": 1, **loop._tf_kwargs}
        first = loop.inputs[0]
        if first.dtype.is_integer and not first.shape.dims:
            loop._body_ops.insert(0, _BodyBorder(loop, opens=True))
            loop._body_ops.append(_BodyBorder(loop, opens=False))

    return init
