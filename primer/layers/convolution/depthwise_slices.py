"""The causal depthwise convolution and its gradient on one slice, in plain TensorFlow.

    y[t] = sum over i < k of  tap[i] * x[t - i]     where t - i is in the segment of t

`[n, length, c] -> [n, length, c]` with n the flattened dimensions before the length, c the
flattened channels, k the number of taps. Primer (https://arxiv.org/abs/2109.08668), section 3.

There are two implementations. `convolve` and `gradients` run TensorFlow's depthwise kernels, which
read and write each activation once, and then recompute the few positions at which a segment begins;
they need a layout `[..., length, channels]` and, for segments, dynamic shapes. `convolve_shifted`
and `gradients_shifted` multiply and add shifted copies: for any layout, for a length that is split
over processors, and for XLA, which fuses them.
"""

from collections.abc import Sequence

import tensorflow.compat.v1 as tf


def convolve(x: tf.Tensor, taps: tf.Tensor, segments: tf.Tensor | None) -> tf.Tensor:
    """Returns the convolution y `[n, length, c]`.

    Args:
        x: a Tensor `[n, length, c]`.
        taps: a Tensor `[k, c]`, the weight of x[t] first.
        segments: the segments of packed examples, int32 `[n, length]`, or None.
    """
    last = taps.shape[0] - 1
    y = _depthwise(x, tf.reverse(taps, [0]), before=last, after=0)  # [n, length, c]
    if segments is None or last == 0:
        return y
    return _recompute(y, x, taps, segments, sign=-1)


def gradients(
    x: tf.Tensor, taps: tf.Tensor, segments: tf.Tensor | None, dy: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns dx `[n, length, c]` in the type of x, and dtaps `[k, c]` summed in float32.

    Args:
        x, taps, segments: as for `convolve`.
        dy: the gradient of y `[n, length, c]`.
    """
    last = taps.shape[0] - 1
    dx = _depthwise(dy, taps, before=0, after=last)  # [n, length, c]
    # [k, c]
    dtaps = _tap_gradients(tf.cast(x, tf.float32), tf.cast(dy, tf.float32), last + 1)
    if segments is None or last == 0:
        return dx, dtaps
    dx = _recompute(dx, dy, taps, segments, sign=1)
    return dx, dtaps - _tap_gradients_across_segments(x, segments, dy, last + 1)


def _depthwise(x: tf.Tensor, rows: tf.Tensor, before: int, after: int) -> tf.Tensor:
    """Correlates x with the rows of a filter, with zeros before and after the length."""
    if x.dtype == tf.bfloat16 and tf.config.list_physical_devices("GPU"):
        # Some releases of TensorFlow lack this kernel for bfloat16 on GPUs, and silently run it on
        # the CPU.
        wide = _depthwise(tf.cast(x, tf.float32), tf.cast(rows, tf.float32), before, after)
        return tf.cast(wide, tf.bfloat16)
    y = tf.raw_ops.DepthwiseConv2dNative(
        input=tf.expand_dims(x, 2),
        filter=rows[:, tf.newaxis, :, tf.newaxis],
        strides=[1, 1, 1, 1],
        padding="EXPLICIT",
        explicit_paddings=[0, 0, before, after, 0, 0, 0, 0],
    )
    return tf.squeeze(y, 2)


def _tap_gradients(x: tf.Tensor, dy: tf.Tensor, num_taps: int) -> tf.Tensor:
    """Sums x[t - i] * dy[t] over rows and length for each tap i, ignoring segments: `[k, c]`."""
    rows = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
        input=tf.expand_dims(x, 2),
        filter_sizes=[num_taps, 1, x.shape[-1], 1],
        out_backprop=tf.expand_dims(dy, 2),
        strides=[1, 1, 1, 1],
        padding="EXPLICIT",
        explicit_paddings=[0, 0, num_taps - 1, 0, 0, 0, 0, 0],
    )  # [k, 1, c, 1], the oldest tap first
    return tf.reverse(rows[:, 0, :, 0], [0])  # [k, c]


def _recompute(
    y: tf.Tensor, x: tf.Tensor, taps: tf.Tensor, segments: tf.Tensor, sign: int
) -> tf.Tensor:
    """Replaces y where a neighbour at t + sign * i, i < k, belongs to another segment.

    Recomputing is exact. Subtracting the terms of the other segment would leave rounding errors,
    and NaN where that segment has infinities.
    """
    length = x.shape[1]
    offsets = sign * tf.range(taps.shape[0])  # [k]
    columns = tf.range(length)[:, tf.newaxis] + offsets  # [length, k]
    inside = tf.logical_and(columns >= 0, columns < length)
    columns = tf.clip_by_value(columns, 0, length - 1)
    # [n, length, k]
    same = tf.equal(tf.gather(segments, columns, axis=1), segments[:, :, tf.newaxis])
    # [m, 2]: the row and position of each of the m outputs to recompute.
    indices = tf.where(tf.reduce_any(tf.logical_and(inside, tf.logical_not(same)), axis=2))
    kept = tf.gather_nd(tf.logical_and(inside, same), indices)  # [m, k]
    columns = tf.gather(columns, indices[:, 1])  # [m, k]
    batch = tf.broadcast_to(tf.cast(indices[:, :1], tf.int32), tf.shape(columns))  # [m, k]
    neighbours = tf.gather_nd(x, tf.stack([batch, columns], axis=2))  # [m, k, c]
    terms = tf.where_v2(kept[:, :, tf.newaxis], neighbours * taps, tf.zeros_like(neighbours))
    return _overwrite(y, indices, tf.reduce_sum(terms, axis=1))


def _overwrite(y: tf.Tensor, indices: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Writes rows `[m, c]` at indices `[m, 2]` of y `[n, length, c]`; nothing else may read y."""
    if tf.config.list_physical_devices("GPU"):
        return tf.tensor_scatter_nd_update(y, indices, rows)
    # On a CPU a scatter copies all of y first, which takes as long as the convolution.
    flat = tf.cast(indices[:, 0] * y.shape[1] + indices[:, 1], tf.int32)  # [m]
    # [n * length, c]
    updated = tf.raw_ops.InplaceUpdate(x=tf.reshape(y, [-1, y.shape[-1]]), i=flat, v=rows)
    return tf.reshape(updated, y.shape)


def _tap_gradients_across_segments(
    x: tf.Tensor, segments: tf.Tensor, dy: tf.Tensor, num_taps: int
) -> tf.Tensor:
    """Returns the part of `_tap_gradients` from pairs of different segments, `[k, c]`."""
    sums = [tf.zeros([x.shape[-1]], tf.float32)]
    for i in range(1, num_taps):
        indices = tf.where(tf.not_equal(segments[:, i:], segments[:, :-i]))  # [m, 2]
        old = tf.cast(tf.gather_nd(x, indices), tf.float32)  # [m, c]
        new = tf.cast(tf.gather_nd(dy, indices + [[0, i]]), tf.float32)  # [m, c]
        sums.append(tf.reduce_sum(old * new, axis=0))
    return tf.stack(sums)  # [k, c]


def convolve_shifted(
    x: tf.Tensor, taps: Sequence[tf.Tensor], segments: tf.Tensor | None, axis: int
) -> tf.Tensor:
    """Returns y `[..., length, ...]` from shifted products.

    Args:
        x: a Tensor `[..., k - 1 + length, ...]`, with k - 1 more positions before the length.
        taps: k Tensors of x's rank, with size 1 for dimensions that they lack.
        segments: a Tensor of x's rank with the same additional positions, or None.
        axis: the index of the length.
    """
    terms = []
    for i, tap in enumerate(taps):
        term = _window(x, axis, len(taps), -i) * tap
        terms.append(_masked(term, segments, axis, len(taps), -i))
    return tf.add_n(terms)


def gradients_shifted(
    x: tf.Tensor,
    taps: Sequence[tf.Tensor],
    segments_before: tf.Tensor | None,
    dy: tf.Tensor,
    segments_after: tf.Tensor | None,
    axis: int,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Returns dx and a list of products whose sums are the gradients of the taps.

    Args:
        x, taps, axis: as for `convolve_shifted`.
        segments_before: segments with k - 1 more positions before the length, or None.
        dy: the gradient of y, with k - 1 more positions after the length.
        segments_after: segments with k - 1 more positions after the length, or None.
    """
    num_taps = len(taps)
    dx_terms, products = [], []
    here = _window(dy, axis, num_taps, 0, extra_first=False)  # [..., length, channels...]
    for i, tap in enumerate(taps):
        later = _window(dy, axis, num_taps, i, extra_first=False) * tap
        dx_terms.append(_masked(later, segments_after, axis, num_taps, i, extra_first=False))
        earlier = tf.cast(_window(x, axis, num_taps, -i), tf.float32) * tf.cast(here, tf.float32)
        products.append(_masked(earlier, segments_before, axis, num_taps, -i))
    return tf.add_n(dx_terms), products


def _window(
    x: tf.Tensor, axis: int, num_taps: int, offset: int, extra_first: bool = True
) -> tf.Tensor:
    """Slices the length, shifted by `offset`, out of an x with k - 1 more positions."""
    extra = num_taps - 1
    begin = [0] * x.shape.ndims
    size = x.shape.as_list()
    begin[axis] = offset + (extra if extra_first else 0)
    size[axis] -= extra
    return tf.slice(x, begin, size)


def _masked(
    term: tf.Tensor,
    segments: tf.Tensor | None,
    axis: int,
    num_taps: int,
    offset: int,
    extra_first: bool = True,
) -> tf.Tensor:
    """Zeroes the term where the position at `offset` belongs to another segment."""
    if segments is None or offset == 0:
        return term
    same = tf.equal(
        _window(segments, axis, num_taps, offset, extra_first),
        _window(segments, axis, num_taps, 0, extra_first),
    )
    return tf.where_v2(same, term, tf.zeros([], term.dtype))
