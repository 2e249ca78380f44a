"""Sinusoidal positions equal Mesh-TensorFlow's, and exist on a mesh that splits d_model."""

import math

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.runtime.patches import sinusoid_positions
from tests.layers import helpers

LENGTH, WIDTH = mtf.Dimension("max_length", 50), mtf.Dimension("d_model", 12)


def stock(mesh, dtype):
    """Mesh-TensorFlow's own computation."""
    half = mtf.Dimension("d_model", WIDTH.size // 2)
    rates = mtf.exp(mtf.range(mesh, half, tf.float32) * -(math.log(1e4) / (half.size - 1)))
    scaled = mtf.einsum([mtf.range(mesh, LENGTH, tf.float32), rates])
    return mtf.cast(mtf.concat([mtf.sin(scaled), mtf.cos(scaled)], "d_model"), dtype)


@pytest.mark.parametrize("mesh_shape", ["", "columns:2", "columns:4"])
def test_values(mesh_shape):
    with helpers.bench() as b:
        expected = b.run({"y": stock(b.mesh, tf.float32)})["y"]
    with helpers.bench(mesh_shape, "d_model:columns") as b:
        found = b.run({"y": sinusoid_positions.sinusoids(b.mesh, LENGTH, WIDTH, tf.float32)})["y"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_type():
    with helpers.bench() as b:
        found = sinusoid_positions.sinusoids(b.mesh, LENGTH, WIDTH, tf.bfloat16)
    assert found.dtype == tf.bfloat16 and found.shape == mtf.Shape([LENGTH, WIDTH])


def test_an_odd_width_is_an_error():
    with helpers.bench() as b, pytest.raises(ValueError, match="d_model = 3: .*an even d_model"):
        sinusoid_positions.sinusoids(b.mesh, LENGTH, mtf.Dimension("d_model", 3), tf.float32)


def test_the_models_use_it():
    from mesh_tensorflow.transformer import transformer

    assert transformer.sinusoid_positional_embedding_weights is sinusoid_positions.sinusoids
