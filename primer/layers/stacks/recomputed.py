"""Which layers of a stack the backward pass computes again (`recomputed_operations` says how).

With "layers" training keeps the input of each layer, with "blocks" that of each block: attention
and feed-forward layer, or what `block` of gin/defaults.gin lists. The backward pass then has the
intermediate results of one layer, or of one block, at a time. Losses and gradients are the same.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import transformer

from primer.layers.stacks import recomputed_operations

NONE, LAYERS, BLOCKS = VALUES = ("none", "layers", "blocks")
# The attribute of a transformer.Context that has the parts of the graph which its layers built.
_PARTS = "primer_recomputed_parts"


@dataclasses.dataclass(frozen=True)
class _Part:
    """The operations of a layer: their numbers in the graph, and the layer's output."""

    start: int
    end: int
    output: mtf.Tensor


def setting(recompute: str, recompute_grads: bool) -> str:
    """Returns what to recompute, by our setting and Mesh-TensorFlow's.

    Args:
        recompute: a value of VALUES.
        recompute_grads: `LayerStack.recompute_grads`, which means LAYERS.

    Raises:
        ValueError: `recompute` is another value.
    """
    if recompute not in VALUES:
        raise ValueError(
            f'recompute = {recompute!r}: expected "none", "layers" or "blocks"; true and false are '
            "values of LayerStack.recompute_grads"
        )
    return LAYERS if recompute_grads and recompute == NONE else recompute


@contextlib.contextmanager
def layers(
    recompute: str,
    called: Sequence[transformer.TransformerLayer],
    context: transformer.Context,
) -> Iterator[None]:
    """Makes the backward pass recompute the layers that are called in the block, in training.

    Args:
        recompute: a value of VALUES.
        called: the layers of the stack, which the block calls one after the other.
        context: their context.
    """
    parts: list[_Part] | None = [] if recompute != NONE and context.train else None
    setattr(context, _PARTS, parts)
    yield
    groups = zip(called, parts or [], strict=False)
    if not parts:
        return
    operations = context.mesh.graph.operations
    for group in _grouped(list(groups), recompute == BLOCKS):
        first, last = group[0], group[-1]
        recomputed_operations.recompute(operations[first.start : last.end], last.output)


@contextlib.contextmanager
def layer(context: transformer.Context) -> Iterator[Callable[[mtf.Tensor], mtf.Tensor]]:
    """Yields a function to call with the output of the layer that the block builds; returns it."""
    parts = getattr(context, _PARTS, None)
    start = len(context.mesh.graph.operations)

    def done(output: mtf.Tensor) -> mtf.Tensor:
        if parts is not None:
            parts.append(_Part(start, len(context.mesh.graph.operations), output))
        return output

    yield done


def _grouped(pairs: Sequence[tuple[Any, _Part]], by_block: bool) -> Iterator[list[_Part]]:
    """Yields the parts of each block, or of each layer."""
    group: list[_Part] = []
    block = None
    for called, part in pairs:
        name = (called.name or "").partition("/")[0]
        if group and not (by_block and name and name == block):
            yield group
            group = []
        group.append(part)
        block = name
    if group:
        yield group
