"""The layers of a block, from the slots `block` and `dense_block` of gin/defaults.gin.

An architecture says what its block is (`dense_block`); a file such as architectures/switch.gin says
how experts stand in blocks of attention and feed-forward layers (`block`). Both compose where the
architecture's block is of these two layers; a block that was found as one whole, like the Evolved
Transformer's, has no place where a feed-forward layer could be exchanged.
"""

import gin

from primer.common.class_names import name_of


@gin.configurable
def block_layers(block, dense_block):
    """Returns the layer classes of a block, for `make_layer_stack.layers`.

    Args:
        block: the list of layer classes to build.
        dense_block: the list that the architecture has without experts.

    Raises:
        ValueError: `block` is another list, and `dense_block` is not of two layers, so that the
            architecture would be lost without a word.
    """
    if block != dense_block and len(dense_block) > 2:
        names = ", ".join(_name(layer) for layer in dense_block)
        raise ValueError(
            f"dense_block = [{names}], but block is set to other layers (architectures/switch.gin "
            "does so): experts replace the feed-forward layers of blocks of an attention and a "
            "feed-forward layer, and this block is one whole; leave out switch.gin, or give "
            "another architecture"
        )
    return block


@gin.configurable
def stack_depth(num_dense_blocks, num_blocks=None):
    """Returns the number of blocks, for `make_layer_stack.num_layers`.

    Args:
        num_dense_blocks: the number that the architecture has without experts.
        num_blocks: the number of blocks of `block`, or None for `num_dense_blocks`.
    """
    return num_dense_blocks if num_blocks is None else num_blocks


def _name(layer):
    """The name of a layer class, also of one that stands with its settings in a tuple."""
    return name_of(layer[0] if isinstance(layer, tuple) else layer)
