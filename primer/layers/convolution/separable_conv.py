"""A causal separable convolution: along the length channel by channel, then across the channels.

As in the Evolved Transformer (https://arxiv.org/abs/1901.11117). For x `[batch, length, channels]`
and k taps `w[i]` of `[channels]`,

    d[t, c] = sum over i < k of  w[i][c] * x[t - i, c]  +  b[c]
    y[t]    = d[t] W + b'                                           [batch, length, new channels]

zero before the start of a text, and never across the parts of a packed example
(`causal_depthwise_conv`). Decoding keeps the last k - 1 inputs, row by row.

The variables are those of Mesh-TensorFlow's SeparableConv1DLayer, with the oldest position first:
`separable_conv1d/depthwise_conv_hack/depthwise_dense_0/kernel` weighs x[t - k + 1] and has b beside
it as `bias`, the last one weighs x[t]; `separable_conv1d/pointwise_dense/kernel` and `bias` are W
and b'.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.layers.convolution import causal_depthwise_conv as conv


def separable_conv(context, x, channels, output_dim, kernel_size, initializer_scale=1.0):
    """Convolves x with new variables under the current scope.

    Args:
        context: a transformer.Context, in any mode.
        x: a Tensor `[batch, length, channels]`, without length in incremental mode.
        channels: the Dimension of x that is projected.
        output_dim: the Dimension of the new channels.
        kernel_size: the number of taps.
        initializer_scale: the variance of the initial weights, as a multiple of 1 / k for the taps
            and of 1 / channels for W.

    Returns:
        a Tensor `[batch, length, output_dim]`.
    """
    with tf.variable_scope("separable_conv1d"):
        taps, bias = _taps(context, kernel_size, channels, initializer_scale)
        y = conv.convolve(context, x, taps) + bias
        return mtf.layers.dense(
            y,
            reduced_dims=[channels],
            new_dims=[output_dim],
            expert_dims=context.model.ensemble_dims,
            variable_dtype=context.variable_dtype,
            kernel_initializer=mtf.layers.VarianceScalingInitializer(scale=initializer_scale),
            name="pointwise_dense",
        )


def _taps(context, kernel_size, channels, initializer_scale):
    """Returns the taps, the present first as the convolution wants them, and the bias."""
    shape = mtf.Shape(context.model.ensemble_dims + [channels])
    scaling = mtf.layers.VarianceScalingInitializer(scale=initializer_scale / kernel_size)
    # No inputs are summed: each channel has a weight of its own.
    initializer = scaling(reduced_dims=[], new_dims=[])

    def variable(scope, name, initializer):
        with tf.variable_scope(f"depthwise_conv_hack/{scope}"):
            return mtf.get_variable(
                context.mesh, name, shape, initializer=initializer, dtype=context.variable_dtype
            )

    taps = [variable(f"depthwise_dense_{i}", "kernel", initializer) for i in range(kernel_size)]
    return taps[::-1], variable("depthwise_dense_0", "bias", tf.zeros_initializer())
