"""Causal depthwise convolution along a named dimension, as one Mesh-TensorFlow operation.

Primer (https://arxiv.org/abs/2109.08668), section 3: every channel c of every head is convolved
along the length with k taps of its own,

    y[..., t, c] = sum over i < k of  tap_i[c] * x[..., t - i, c],

`[batch, length, heads, d_kv] -> [batch, length, heads, d_kv]`, with zeros before the start, and
never across the segments of a packed example. Built from shifts, products and sums it would move
each activation through memory about ten times; here a slice passes through one kernel forwards and
two backwards (`depthwise_slices`). The mesh may split batch, heads and ensemble as in any
component-wise operation; a split length exchanges the last k - 1 positions with the neighbouring
processor.
"""

from collections.abc import Sequence

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common import checks
from primer.layers import positions
from primer.layers.convolution import depthwise_operation


def check_kernel_size(kernel_size: int, setting: str = "kernel_size") -> None:
    """Raises a ValueError that names the setting unless it is a whole number of taps, 1 or more."""
    checks.whole_number(
        setting,
        kernel_size,
        expected="the number of taps of the causal convolution, a whole number of 1 or more (the "
        "paper's is 3)",
        error=ValueError,
    )


def convolution_taps(
    mesh: mtf.Mesh,
    kernel_size: int,
    dims: Sequence[mtf.Dimension],
    variable_dtype: mtf.VariableDType,
) -> list[mtf.Tensor]:
    """Creates the variables `conv_0` ... `conv_{k-1}`, one per tap, each with dimensions `dims`.

    The initial values are the original's: 0.5 for the position itself and 0.5 / k for each of the
    k - 1 positions before it.
    """
    check_kernel_size(kernel_size)
    return [
        mtf.get_variable(
            mesh,
            f"conv_{i}",
            mtf.Shape(dims),
            initializer=tf.constant_initializer(0.5 if i == 0 else 0.5 / kernel_size),
            dtype=variable_dtype,
        )
        for i in range(kernel_size)
    ]


def convolve(
    context: transformer.Context,
    x: mtf.Tensor,
    taps: Sequence[mtf.Tensor],
    crosses_texts: bool = False,
) -> mtf.Tensor:
    """Convolves x in any mode of a Context; the decoding states are the last k - 1 inputs.

    Args:
        context: a transformer.Context.
        x: a Tensor `[batch, length, channels...]`, without length in incremental mode.
        taps: k Tensors `[channels...]`, the one for x[t] first.
        crosses_texts: whether a position of a packed row sees the end of the text before its own.

    Returns:
        A Tensor with the shape of x.
    """
    num_states = len(taps) - 1
    if context.mode == "incremental":
        past = list(context.get_states(num_states))  # [batch, channels...] each, the nearest first
        context.record_new_states(([x] + past)[:num_states])
        return causal_depthwise_conv_step(x, taps, past)
    if context.mode == "first_part":
        context.record_new_states(
            last_positions(x, context.length_dim, context.initial_position, num_states)
        )
    earlier = getattr(context, "convolution_past", None)
    if earlier is not None:  # The layer has a memory of earlier positions.
        return earlier.convolve(
            x, num_states, lambda x, dim, ids: causal_depthwise_conv(x, taps, dim, ids)
        )
    # [batch, length, channels...]
    segment_id = None if crosses_texts else positions.segment_id(context)
    return causal_depthwise_conv(x, taps, context.length_dim, segment_id)


def causal_depthwise_conv(
    x: mtf.Tensor,
    taps: Sequence[mtf.Tensor],
    length_dim: mtf.Dimension,
    segment_id: mtf.Tensor | None = None,
) -> mtf.Tensor:
    """Convolves x along `length_dim`, towards the past only.

    Args:
        x: a Tensor `[..., length_dim, ..., channels]`.
        taps: k Tensors of one shape, a subset of x's dimensions without the length: tap i is the
            weight of x[t - i].
        length_dim: the Dimension of x to convolve along.
        segment_id: an optional int32 Tensor `[batch dimensions, length_dim]`: a position sees only
            positions of its own segment. Its dimensions are a subset of x's.

    Returns:
        A Tensor with the shape and type of x.

    Raises:
        ValueError: the dimensions do not match.
    """
    _check_shapes(x, taps, length_dim, segment_id)
    conv = depthwise_operation.CausalDepthwiseConvOperation(x, taps, length_dim, segment_id)
    return conv.outputs[0]  # [..., length_dim, ..., channels]


def causal_depthwise_conv_step(
    x: mtf.Tensor, taps: Sequence[mtf.Tensor], past: Sequence[mtf.Tensor]
) -> mtf.Tensor:
    """Convolves the single position x `[batch, channels...]`.

    Args:
        x: the input at the position.
        taps: k Tensors `[channels...]`.
        past: the inputs at the k - 1 positions before it, the nearest first.
    """
    # [batch, channels...]
    return mtf.add_n([value * tap for value, tap in zip([x] + list(past), taps)])


def last_positions(
    x: mtf.Tensor, length_dim: mtf.Dimension, position: mtf.Tensor, count: int
) -> list[mtf.Tensor]:
    """Returns the `count` positions of x before `position`, the nearest first.

    Args:
        x: a Tensor `[batch, length, channels...]`.
        length_dim: the Dimension of the positions.
        position: an int32 Tensor `[batch]`: prompts may differ in length.
        count: how many positions.

    Returns:
        Tensors `[batch, channels...]`; positions before the start are zeros.
    """
    shape = x.shape - length_dim
    # [batch, channels...] each
    return [
        mtf.gather(x, position - i, length_dim, output_shape=shape) for i in range(1, count + 1)
    ]


def _check_shapes(
    x: mtf.Tensor,
    taps: Sequence[mtf.Tensor],
    length_dim: mtf.Dimension,
    segment_id: mtf.Tensor | None,
) -> None:
    if length_dim not in x.shape.dims:
        raise ValueError(f"cannot convolve along {length_dim}: not a dimension of {x.shape}")
    for tap in taps:
        if tap.shape != taps[0].shape or length_dim in tap.shape.dims:
            raise ValueError(f"taps of shape {tap.shape}: expected one shape, without {length_dim}")
        if any(dim not in x.shape.dims for dim in tap.shape.dims):
            raise ValueError(f"taps of shape {tap.shape}: not all dimensions of {x.shape}")
    if segment_id is not None:
        allowed = [d for d in x.shape.dims if d not in taps[0].shape.dims]
        if length_dim not in segment_id.shape.dims or set(segment_id.shape.dims) - set(allowed):
            raise ValueError(
                f"segment_id of shape {segment_id.shape}: expected {length_dim} and batch "
                f"dimensions of {x.shape}"
            )
