"""A causal separable convolution: along the length per channel, then across the channels.

As in the Evolved Transformer (https://arxiv.org/abs/1901.11117). For x `[batch, length, channels]`
and k taps `w[i]` of `[channels]`,

    d[t, c] = sum over i < k of  w[i][c] * x[t - i, c]  +  b[c]
    y[t]    = d[t] W + b'                                           [batch, length, new channels]

with zeros before the start of a text, and never across the segments of a packed example
(`causal_depthwise_conv`). The decoding states are the last k - 1 inputs of each row.

The variables are those of Mesh-TensorFlow's SeparableConv1DLayer, the oldest position first:
`separable_conv1d/depthwise_conv_hack/depthwise_dense_0/kernel` is the weight of x[t - k + 1] and
the last one that of x[t]; b is the `bias` beside the first. W and b' are
`separable_conv1d/pointwise_dense/kernel` and `bias`.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.layers import variables
from primer.layers.convolution import causal_depthwise_conv as conv


def separable_conv(
    context: transformer.Context,
    x: mtf.Tensor,
    channels: mtf.Dimension,
    output_dim: mtf.Dimension,
    kernel_size: int,
    initializer_scale: float = 1.0,
) -> mtf.Tensor:
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
        A Tensor `[batch, length, output_dim]`.
    """
    with tf.variable_scope("separable_conv1d"):
        # [channels] each
        taps, bias = _taps(context, kernel_size, channels, initializer_scale)
        y = conv.convolve(context, x, taps) + bias  # [batch, length, channels]
        return mtf.layers.dense(
            y,
            reduced_dims=[channels],
            new_dims=[output_dim],
            expert_dims=context.model.ensemble_dims,
            variable_dtype=context.variable_dtype,
            kernel_initializer=mtf.layers.VarianceScalingInitializer(scale=initializer_scale),
            name="pointwise_dense",
        )  # [batch, length, output_dim]


def _taps(
    context: transformer.Context,
    kernel_size: int,
    channels: mtf.Dimension,
    initializer_scale: float,
) -> tuple[list[mtf.Tensor], mtf.Tensor]:
    """Returns the taps `[channels]`, that of x[t] first, and the bias `[channels]`."""
    scaling = mtf.layers.VarianceScalingInitializer(scale=initializer_scale / kernel_size)
    # The fan-in is 1: each channel has a weight of its own.
    initializer = scaling(reduced_dims=[], new_dims=[])

    def variable(scope: str, name: str, initializer: object) -> mtf.Tensor:
        with tf.variable_scope(f"depthwise_conv_hack/{scope}"):
            return variables.get_variable(context, name, [channels], initializer)

    taps = [variable(f"depthwise_dense_{i}", "kernel", initializer) for i in range(kernel_size)]
    return taps[::-1], variable("depthwise_dense_0", "bias", tf.zeros_initializer())
