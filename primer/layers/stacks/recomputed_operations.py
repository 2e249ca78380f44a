"""Parts of a graph whose results are computed again in the backward pass, and so are not kept.

Chen et al. (https://arxiv.org/abs/1604.06174), section 4.1. A segment is the operations of a few
layers. Its backward pass copies them, with what they read from outside, and differentiates the
copies, whose inputs wait for the gradient of the segment's output. The first results have no reader
in the backward pass then, and TensorFlow frees them.

In contrast to `mtf.recompute_grad`, what a segment makes besides its output can be used outside of
it: balance losses, tables that layers share, the stream of a memory. Random operations are copied
too: a draw is a function of the operation's name and the step, and a copy has the name of its
original (`runtime.patches.random_operations`). On a TPU they are not: no draw is repeated there.
"""

import copy
import functools
from collections.abc import Sequence

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow import ops

from primer.common import build_mode, random_seed

# The output of these is their input; a copy would record a number twice.
_RECORDS = (ops.ScalarSummaryOperation, ops.PrintOperation)


def recompute(operations: Sequence[mtf.Operation], output: mtf.Tensor) -> None:
    """Makes the backward pass compute operations again; to be called before `mtf.gradients`.

    Args:
        operations: neighbours in the graph, in its order. They may read any tensor and create
            variables.
        output: the result whose gradient the others' gradients need: the copies wait for it.

    Raises:
        ValueError: there is a loop among them.
    """
    for operation in operations:
        if isinstance(operation, mtf.WhileLoopOperation):
            raise ValueError(
                f"recompute: {operation.name} is a loop inside a layer, which cannot be computed "
                'again in the backward pass; set recompute = "none"'
            )
    segment = _Segment(operations, output)
    for operation in operations:
        if operation.has_gradient and not isinstance(operation, _RECORDS):
            operation.gradient = functools.partial(segment.gradient, operation)


class _Segment:
    """Operations, and their copies once a gradient is asked for."""

    def __init__(self, operations: Sequence[mtf.Operation], output: mtf.Tensor) -> None:
        self._operations = list(operations)
        self._output = output
        self._copies: dict[mtf.Operation, mtf.Operation] = {}

    def gradient(
        self, operation: mtf.Operation, grad_ys: Sequence[mtf.Tensor | None]
    ) -> Sequence[mtf.Tensor | None]:
        """Returns the gradients of an operation's inputs, computed from those of its copy.

        Args:
            operation: an operation of the segment.
            grad_ys: the gradients of its outputs.
        """
        if not self._copies:
            # `mtf.gradients` goes backwards, and nothing behind the output is in the segment.
            known = [grad for grad in grad_ys if grad is not None]
            self._copy(max(known, key=lambda grad: grad.shape.size))
        return self._copies[operation].gradient(grad_ys)

    def _copy(self, after: mtf.Tensor) -> None:
        """Adds the copies to the graph, which run when `after` is known."""
        graph = self._output.graph
        copied: dict[mtf.Tensor, mtf.Tensor] = {}

        def copy_of(tensor: mtf.Tensor) -> mtf.Tensor:
            if tensor not in copied:
                copied[tensor] = _wait(tensor, after)
            return copied[tensor]

        for operation in self._operations:
            if not _is_copied(operation):
                continue
            inputs = [copy_of(tensor) for tensor in operation.inputs]
            if isinstance(operation, _RECORDS):
                copied[operation.outputs[0]] = inputs[0]
                continue
            new = copy.copy(operation)
            new.__dict__.pop("gradient", None)
            new._inputs = inputs
            new._outputs = [
                mtf.Tensor(new, x.shape, x.dtype, x.name, index)
                for index, x in enumerate(operation.outputs)
            ]
            if isinstance(operation, mtf.RandomOperation):
                setattr(new, random_seed.COPY, (operation, after))
            graph.operations.append(new)
            copied.update(zip(operation.outputs, new.outputs, strict=True))
            self._copies[operation] = new


def _is_copied(operation: mtf.Operation) -> bool:
    """Whether an operation is computed again: it has results, and another time gives the same."""
    if isinstance(operation, mtf.Variable) or not operation.outputs:
        return False
    return not (isinstance(operation, mtf.RandomOperation) and build_mode.for_tpu())


def _wait(x: mtf.Tensor, after: mtf.Tensor) -> mtf.Tensor:
    """Returns x, for operations that run when `after` is known."""
    for_tpu = build_mode.for_tpu()
    is_made_once = isinstance(x.operation, (mtf.Variable, mtf.RandomOperation))
    if for_tpu and (is_made_once or not x.dtype.is_floating):
        return x
    return _WaitOperation(x, after, for_tpu).outputs[0]


class _WaitOperation(mtf.Operation):
    """Its output is x, once `after` is known: without this, the first pass has all copies need.

    TensorFlow's kernels wait for a control dependency, and its elimination of common subexpressions
    respects it. A compiler does not: for a TPU x depends on `after` by a summand that is almost 0.
    """

    def __init__(self, x: mtf.Tensor, after: mtf.Tensor, for_tpu: bool) -> None:
        super().__init__([x, after], name="wait_for_gradient")
        self._for_tpu = for_tpu
        self._outputs = [mtf.Tensor(self, x.shape, x.dtype)]

    def lower(self, lowering: mtf.Lowering) -> None:
        """See base class."""
        slices = [lowering.tensors[tensor] for tensor in self.inputs]
        wait = _add_almost_zero if self._for_tpu else _depend
        lowered = lowering.mesh_impl(self).slicewise(wait, *slices)
        lowering.set_tensor_lowering(self.outputs[0], lowered)


def _depend(x: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([after]):
        return tf.identity(x)


def _add_almost_zero(x: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    return x + tf.cast(tf.reshape(after, [-1])[0] * 1e-30, x.dtype)
