"""The layers of a block: from the slot `block`, unless that would discard an architecture."""

import gin
import pytest

from primer import layers


class Attention:
    """A placeholder for a layer class."""


class FeedForward:
    """A placeholder for another layer class."""


class Experts:
    """A placeholder for a layer that replaces feed-forward layers."""


PAIR = [Attention, FeedForward]
UNIT = [(Attention, {"num_heads": 2}), FeedForward, Attention]


def test_experts_replace_the_feed_forward_layers_of_a_pair():
    block = [Attention, FeedForward, Attention, Experts]
    assert layers.block_layers(block=block, dense_block=PAIR) == block


@pytest.mark.parametrize("block", [PAIR, UNIT])
def test_a_block_without_experts_may_have_any_layers(block):
    assert layers.block_layers(block=list(block), dense_block=block) == block


def test_a_block_of_other_layers_may_not_be_replaced():
    with pytest.raises(ValueError, match=r"dense_block = \[Attention, FeedForward, Attention\]"):
        layers.block_layers(block=[Attention, Experts], dense_block=UNIT)


def test_gin_binds_both_lists():
    gin.parse_config(["block_layers.block = [1, 2]", "block_layers.dense_block = [1, 2]"])
    assert layers.block_layers() == [1, 2]
