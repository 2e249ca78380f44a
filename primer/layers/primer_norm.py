"""Primer's normalization: a layer norm that no row of numbers can turn into NaN.

Primer (https://arxiv.org/abs/2109.08668), appendix on the custom normalization, has

    y = gamma * (x - mu) / sqrt(mean(x * (x - mu)) + epsilon) + beta,     mu = mean(x),

over d_model. The mean under the root equals mean((x - mu)^2) on paper only: rounded, it is
negative for rows whose spread is small beside their mean, and the original's output is then NaN
(for one ordinary bfloat16 row in sixteen). Here it is the mean of squares, in float32.
`[..., d_model] -> [..., d_model]`.
"""

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

# Squares of larger numbers, summed over d_model, overflow float32.
LARGEST = 1e15


@gin.configurable
def sublayer_primer_norm(x, layer_stack, context, epsilon=1e-6):
    """Normalizes x over d_model: a sublayer for `LayerStack.sublayers_*`.

    Args:
        x: a Tensor `[..., d_model]`.
        layer_stack: unused.
        context: a transformer.Context.
        epsilon: a float, added to the variance.

    Returns:
        a Tensor with the shape and type of x, computed in float32.
    """
    del layer_stack
    scale, bias = _parameters(context)
    wide = _to_bounded_float32(x)
    reduced = x.shape - context.model.model_dim
    centered = wide - mtf.reduce_mean(wide, output_shape=reduced)
    variance = mtf.reduce_mean(mtf.square(centered), output_shape=reduced)
    y = centered * mtf.rsqrt(variance + epsilon) * scale + bias
    return mtf.cast(y, x.dtype)


def _parameters(context):
    """The scale and the bias, under the names of the original's checkpoints."""
    dtype = context.variable_dtype
    dtype = mtf.VariableDType(dtype.master_dtype, dtype.slice_dtype, tf.float32)
    shape = mtf.Shape(context.model.ensemble_dims + [context.model.model_dim])

    def variable(name, initializer):
        return mtf.get_variable(context.mesh, name, shape, initializer=initializer, dtype=dtype)

    with tf.variable_scope("primer_norm/layer_prepostprocess/primer_norm"):
        scale = variable("primer_norm_scale", tf.ones_initializer())
        bias = variable("primer_norm_bias", tf.zeros_initializer())
    return scale, bias


def _to_bounded_float32(x):
    """Casts x to float32 within +-LARGEST; the gradient passes as if nothing were cut."""

    def convert(piece):
        return tf.clip_by_value(tf.cast(piece, tf.float32), -LARGEST, LARGEST)

    def grad(op, dy):
        return [mtf.cast(dy, op.inputs[0].dtype)]

    return mtf.cwise(
        convert, [x], output_dtype=tf.float32, grad_function=grad, name="to_bounded_float32"
    )
