"""Chooses the layers of a block from the slots `block` and `dense_block` of gin/defaults.gin.

`dense_block` is an architecture's block without experts. Files such as architectures/switch.gin,
fastmoe.gin and gshard_experts.gin set `block` to attention layers with experts in place of
feed-forward layers. The two combine where the architecture's block consists of an attention and a
feed-forward layer. A block that was designed as a unit, such as the Evolved Transformer's, has no
feed-forward layer to replace. The slot `attention_kinds` gives each attention layer its kind
(`kind_pattern`).
"""

from collections.abc import Sequence
from typing import Any

import gin

from primer.common.class_names import source_name
from primer.layers import kind_pattern


@gin.configurable
def block_layers(
    block: Sequence[Any],
    dense_block: Sequence[Any],
    attention_kinds: Sequence[Any] | None = None,
    num_blocks: int = 1,
) -> Sequence[Any]:
    """Returns the layer classes of a block, for `make_layer_stack.layers`.

    Args:
        block: the list of layer classes to build.
        dense_block: the list that the architecture has without experts.
        attention_kinds: the kinds of the attention layers of the stack, see `kind_pattern`.
        num_blocks: the number of blocks of the stack.

    Raises:
        ValueError: `block` differs from `dense_block`, and `dense_block` has more than two layers,
            so that the architecture would be discarded silently; or the kinds do not cover the
            stack's attention layers.
    """
    if block != dense_block and len(dense_block) > 2:
        names = ", ".join(_name(layer) for layer in dense_block)
        raise ValueError(
            f"dense_block = [{names}], but block is set to other layers (as by "
            "architectures/switch.gin, fastmoe.gin or gshard_experts.gin): experts replace the "
            "feed-forward layer of blocks of one attention and one feed-forward layer, and this "
            "block has other layers; leave out that file, or choose another architecture"
        )
    return kind_pattern.with_kinds(block, attention_kinds, num_blocks)


@gin.configurable
def stack_depth(num_dense_blocks: int, num_blocks: int | None = None) -> int:
    """Returns the number of blocks, for `make_layer_stack.num_layers`.

    Args:
        num_dense_blocks: the number that the architecture has without experts.
        num_blocks: the number of blocks of `block`, or None for `num_dense_blocks`.
    """
    return num_dense_blocks if num_blocks is None else num_blocks


@gin.configurable
def half_depth(num_dense_blocks: int) -> int:
    """Returns the number of blocks that have two layers of attention each, for `num_blocks`.

    Args:
        num_dense_blocks: the number of layers of attention, that of blocks without experts.

    Raises:
        ValueError: it is odd. Lingvo leaves the last layer out then.
    """
    if num_dense_blocks % 2:
        raise ValueError(
            f"num_layers = {num_dense_blocks}: expected an even number of layers, as experts are "
            "in every other one (num_blocks = @half_depth() of architectures/gshard_experts.gin)"
        )
    return num_dense_blocks // 2


def _name(layer: Any) -> str:
    """Returns the name of a layer class, or of the class in a tuple (class, settings)."""
    return source_name(layer[0] if isinstance(layer, tuple) else layer)
