"""Windowed self-attention on a mesh of processors: its length, batch and heads split."""

import numpy as np
import pytest

from primer.layers.attention.windows.windowed import WindowedSelfAttention
from tests.layers.attention.windows.windowed_helpers import (
    X,
    assert_equal,
    layer_settings,
    random_variables,
    run,
)

MESHES = {
    "batch and heads": ("rows:2,columns:2", "batch:rows,heads:columns"),
    "two dimensions": ("rows:2,columns:2", "d_model:rows,heads:columns"),
    "length": ("rows:2", "length:rows"),
    "length by 4": ("rows:4", "length:rows"),
}
X_ON_MESH = np.random.default_rng(4).standard_normal([4, 16, 16]).astype(np.float32)


def on_mesh(mesh_shape="", layout=""):
    settings = layer_settings(relative_attention_type="bias_shared")
    layers = {b: WindowedSelfAttention(7, b, **settings) for b in (2, 16)}
    parts = np.where(np.arange(16) < np.array([[3], [16], [9], [5]]), 1, 2)
    return run(layers, X_ON_MESH, parts, random_variables(), "train", mesh_shape, layout)


@pytest.fixture(scope="module")
def one_device():
    return on_mesh()


@pytest.mark.parametrize("mesh", MESHES)
def test_mesh_equals_one_device(one_device, mesh):
    """With the length on 4 processors, a window spans the shares of three."""
    for block_length, values in on_mesh(*MESHES[mesh]).items():
        assert_equal(values, one_device[block_length])


def test_z_loss_on_a_mesh_of_two_dimensions():
    """Mesh-TF reshapes the logits there, and they do not match the padding mask."""
    settings = layer_settings(z_loss_coeff=0.5)
    layers = {b: WindowedSelfAttention(6, b, **settings) for b in (5, 16)}
    parts = np.arange(16) < np.array([[3], [16], [9], [5]])
    given = (layers, X_ON_MESH, parts, random_variables(), "train")
    values, expected = run(*given, *MESHES["two dimensions"]), run(*given)
    for block_length in layers:
        assert_equal(values[block_length], expected[block_length])


def test_blocks_that_do_not_divide_a_split_length_raise_an_error():
    message = "block_length = 3: the length 8 is split over 2 .* a share of 4"
    layers = {"": WindowedSelfAttention(4, 3, **layer_settings())}
    with pytest.raises(ValueError, match=message):
        run(layers, X[:, :8], None, None, "eval", *MESHES["length"])
