"""Primer's normalization: a layer norm that is finite for every finite input.

Primer (https://arxiv.org/abs/2109.08668), appendix on the custom normalization, defines

    y = gamma * (x - mu) / sqrt(mean(x * (x - mu)) + epsilon) + beta,     mu = mean(x),

over d_model. In exact arithmetic the mean under the root equals mean((x - mu)^2). Rounded, it is
negative for rows whose spread is small compared with their mean, and the original's output is then
NaN (for one in sixteen ordinary bfloat16 rows). Here it is the mean of squares, in float32.
`[..., d_model] -> [..., d_model]`.

Lingvo's Primer (lingvo/core/gshard_builder.py, norms `pn` and `true_ln`) divides x itself by this
root, not x - mu: `sublayer_uncentered_primer_norm`. A row of large mean and small spread is then
large.
"""

from typing import Any

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common import checks
from primer.layers import variables

# Squares of larger numbers, summed over d_model, overflow float32.
LARGEST = 1e15


@gin.configurable
def sublayer_primer_norm(
    x: mtf.Tensor, layer_stack: Any, context: transformer.Context, epsilon: float = 1e-6
) -> mtf.Tensor:
    """Normalizes x over d_model: a sublayer for `LayerStack.sublayers_*`.

    Args:
        x: a Tensor `[..., d_model]`.
        layer_stack: unused.
        context: a transformer.Context.
        epsilon: a number added to the variance.

    Returns:
        A Tensor with the shape and type of x, computed in float32.

    Raises:
        ValueError: epsilon is no number above 0.
    """
    del layer_stack
    checks.norm_epsilon("sublayer_primer_norm", epsilon)
    return _normalize(x, context, epsilon, centered=True)


@gin.configurable
def sublayer_uncentered_primer_norm(
    x: mtf.Tensor, layer_stack: Any, context: transformer.Context, epsilon: float = 1e-6
) -> mtf.Tensor:
    """Divides x by the spread of its channels, as Lingvo does; else as `sublayer_primer_norm`."""
    del layer_stack
    checks.norm_epsilon("sublayer_uncentered_primer_norm", epsilon)
    return _normalize(x, context, epsilon, centered=False)


def _normalize(
    x: mtf.Tensor, context: transformer.Context, epsilon: float, centered: bool
) -> mtf.Tensor:
    """Returns `[..., d_model]` with or without the mean in the numerator."""
    scale, bias = _scale_and_bias(context)  # [d_model] each
    wide = _to_bounded_float32(x)
    reduced = x.shape - context.model.model_dim
    deviation = wide - mtf.reduce_mean(wide, output_shape=reduced)  # [..., d_model]
    variance = mtf.reduce_mean(mtf.square(deviation), output_shape=reduced)  # [...]
    numerator = deviation if centered else wide
    y = numerator * mtf.rsqrt(variance + epsilon) * scale + bias  # [..., d_model]
    return mtf.cast(y, x.dtype)


def _scale_and_bias(context: transformer.Context) -> tuple[mtf.Tensor, mtf.Tensor]:
    """Returns the variables `[d_model]`, under their names in the original's checkpoints."""
    dtype = context.variable_dtype
    dtype = mtf.VariableDType(dtype.master_dtype, dtype.slice_dtype, tf.float32)
    dims = [context.model.model_dim]
    with tf.variable_scope("primer_norm/layer_prepostprocess/primer_norm"):
        scale = variables.get_variable(
            context, "primer_norm_scale", dims, tf.ones_initializer(), dtype
        )
        bias = variables.get_variable(
            context, "primer_norm_bias", dims, tf.zeros_initializer(), dtype
        )
    return scale, bias


def _to_bounded_float32(x: mtf.Tensor) -> mtf.Tensor:
    """Casts x to float32 and clips it to +-LARGEST; the gradient ignores the clipping."""

    def convert(piece: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(tf.cast(piece, tf.float32), -LARGEST, LARGEST)

    def grad(op: mtf.Operation, dy: mtf.Tensor) -> list[mtf.Tensor]:
        return [mtf.cast(dy, op.inputs[0].dtype)]

    return mtf.cwise(
        convert, [x], output_dtype=tf.float32, grad_function=grad, name="to_bounded_float32"
    )
