"""Names are assigned to layers by whole scopes."""

import pytest

from primer.cost import owners

LAYERS = ["block_000/layer_000", "block_000/layer_001", "layer_002"]


@pytest.mark.parametrize(
    "name, layer",
    [
        ("block_000/layer_001/Dense/wi/kernel", "block_000/layer_001"),
        ("block_000/layer_001/einsum_3", "block_000/layer_001"),
        ("layer_002/norm", "layer_002"),
        ("layer_0021/norm", None),
        ("block_000/layer_000", None),
        ("einsum", None),
    ],
)
def test_the_owner_is_the_layer_whose_scopes_a_name_has(name, layer):
    assert owners.owner(name, LAYERS) == layer


def test_the_scope_of_the_model_is_removed():
    assert owners.without_model("transformer/block_000/layer_000/q") == "block_000/layer_000/q"
