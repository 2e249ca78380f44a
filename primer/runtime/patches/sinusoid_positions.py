"""Mesh-TF 0.1.21: sinusoidal positions fail on a mesh that splits d_model.

It concatenates the sines and the cosines along d_model, which a mesh cannot do with a split
dimension. The patch computes each channel where it is. The values are the same: for channel c of
the first half sin(position * r^c), and cos of it in channel d_model / 2 + c.
"""

import math
from types import ModuleType

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


def patch(transformer: ModuleType) -> None:
    """Replaces a function of `mesh_tensorflow.transformer.transformer`."""
    transformer.sinusoid_positional_embedding_weights = sinusoids


def sinusoids(
    mesh: mtf.Mesh,
    max_length_dim: mtf.Dimension,
    model_dim: mtf.Dimension,
    dtype: tf.DType,
    min_timescale: float = 1.0,
    max_timescale: float = 1.0e4,
) -> mtf.Tensor:
    """Returns the vectors of the positions, `[max_length, d_model]`.

    Args:
        mesh: the mesh.
        max_length_dim, model_dim: the dimensions.
        dtype: the type of the result, which is computed in float32.
        min_timescale, max_timescale: wavelength / 2 pi of the first and the last channel of a half.

    Raises:
        ValueError: d_model is odd.
    """
    if model_dim.size % 2:
        raise ValueError(
            f"Unitransformer.d_model = {model_dim.size}: sinusoidal positions have a sine and a "
            "cosine for each wavelength; choose an even d_model, or other positions"
        )
    half = model_dim.size // 2
    step = math.log(max_timescale / min_timescale) / max(half - 1, 1)
    channel = mtf.range(mesh, model_dim, tf.float32)  # [d_model]
    is_cosine = mtf.cast(mtf.greater_equal(channel, half), tf.float32)
    rates = mtf.exp((channel - half * is_cosine) * -step) / min_timescale
    position = mtf.range(mesh, max_length_dim, tf.float32)  # [max_length]
    angle = mtf.einsum([position, rates], mtf.Shape([max_length_dim, model_dim]))
    values = mtf.sin(angle) * (1.0 - is_cosine) + mtf.cos(angle) * is_cosine
    return mtf.cast(values, dtype)  # [max_length, d_model]
