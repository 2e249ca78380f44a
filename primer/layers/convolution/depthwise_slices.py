"""The causal depthwise convolution and its gradient on one slice, in plain TensorFlow.

    y[t] = sum over i < k of  tap[i] * x[t - i]     where t - i lies in the segment of t

Two ways compute it. `convolve` and `gradients` run TensorFlow's depthwise kernels, which read and
write each activation once, and then recompute the few positions at which a segment begins; they
want a layout `[..., length, channels]` and, for segments, dynamic shapes. `convolve_shifted` and
`gradients_shifted` multiply and add shifted copies: for any layout, for a length that is split
over processors, and for XLA, which fuses them.

Names: `n` flattened dimensions before the length, `c` flattened channels, `k` taps.
"""

import tensorflow.compat.v1 as tf


def convolve(x, taps, segments):
    """Returns y `[n, length, c]` for x `[n, length, c]`, taps `[k, c]`, segments `[n, length]`.

    `segments` (int32, or None where nothing is packed) numbers the parts of a packed example.
    """
    last = taps.shape[0] - 1
    y = _depthwise(x, tf.reverse(taps, [0]), before=last, after=0)
    if segments is None or last == 0:
        return y
    return _recompute(y, x, taps, segments, sign=-1)


def gradients(x, taps, segments, dy):
    """Returns dx `[n, length, c]` in the type of x, and d taps `[k, c]` summed in float32."""
    last = taps.shape[0] - 1
    dx = _depthwise(dy, taps, before=0, after=last)
    dtaps = _tap_gradients(tf.cast(x, tf.float32), tf.cast(dy, tf.float32), last + 1)
    if segments is None or last == 0:
        return dx, dtaps
    dx = _recompute(dx, dy, taps, segments, sign=1)
    return dx, dtaps - _across_segments(x, segments, dy, last + 1)


def _depthwise(x, rows, before, after):
    """Correlates x with the rows of a filter, with zeros around the length."""
    if x.dtype == tf.bfloat16 and tf.config.list_physical_devices("GPU"):
        # Not every release of TensorFlow has this kernel for bfloat16 on GPUs, and one that has
        # not would silently go to the CPU for it.
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


def _tap_gradients(x, dy, num_taps):
    """Sums x[t - i] * dy[t] over rows and length for each tap i, whatever the segments."""
    rows = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
        input=tf.expand_dims(x, 2),
        filter_sizes=[num_taps, 1, x.shape[-1], 1],
        out_backprop=tf.expand_dims(dy, 2),
        strides=[1, 1, 1, 1],
        padding="EXPLICIT",
        explicit_paddings=[0, 0, num_taps - 1, 0, 0, 0, 0, 0],
    )
    return tf.reverse(rows[:, 0, :, 0], [0])


def _recompute(y, x, taps, segments, sign):
    """Replaces y where a neighbour at t + sign * i, i < k, belongs to another segment.

    Recomputing, rather than subtracting what crossed the border, leaves no trace of the other
    segment, not even a rounding error or an infinity.
    """
    length = x.shape[1]
    offsets = sign * tf.range(taps.shape[0])
    columns = tf.range(length)[:, tf.newaxis] + offsets
    inside = tf.logical_and(columns >= 0, columns < length)
    columns = tf.clip_by_value(columns, 0, length - 1)
    same = tf.equal(tf.gather(segments, columns, axis=1), segments[:, :, tf.newaxis])
    places = tf.where(tf.reduce_any(tf.logical_and(inside, tf.logical_not(same)), axis=2))
    rows = tf.gather_nd(tf.logical_and(inside, same), places)
    columns = tf.gather(columns, places[:, 1])
    batch = tf.broadcast_to(tf.cast(places[:, :1], tf.int32), tf.shape(columns))
    neighbours = tf.gather_nd(x, tf.stack([batch, columns], axis=2))
    terms = tf.where_v2(rows[:, :, tf.newaxis], neighbours * taps, tf.zeros_like(neighbours))
    return _overwrite(y, places, tf.reduce_sum(terms, axis=1))


def _overwrite(y, places, rows):
    """Puts rows `[m, c]` at the places `[m, 2]` of y `[n, length, c]`, which nothing else uses."""
    if tf.config.list_physical_devices("GPU"):
        return tf.tensor_scatter_nd_update(y, places, rows)
    # On a CPU a scatter copies all of y first, which takes as long as the convolution.
    flat = tf.cast(places[:, 0] * y.shape[1] + places[:, 1], tf.int32)
    inside = tf.raw_ops.InplaceUpdate(x=tf.reshape(y, [-1, y.shape[-1]]), i=flat, v=rows)
    return tf.reshape(inside, y.shape)


def _across_segments(x, segments, dy, num_taps):
    """Returns what pairs of different segments added to the gradients of the taps, `[k, c]`."""
    sums = [tf.zeros([x.shape[-1]], tf.float32)]
    for i in range(1, num_taps):
        places = tf.where(tf.not_equal(segments[:, i:], segments[:, :-i]))
        old = tf.cast(tf.gather_nd(x, places), tf.float32)
        new = tf.cast(tf.gather_nd(dy, places + [[0, i]]), tf.float32)
        sums.append(tf.reduce_sum(old * new, axis=0))
    return tf.stack(sums)


def convolve_shifted(x, taps, segments, axis):
    """Returns y for x and segments that carry k - 1 more positions before the length.

    x, every tap and the segments have the same rank (size 1 where a dimension is absent); `axis`
    is the length's.
    """
    terms = []
    for i, tap in enumerate(taps):
        term = _window(x, axis, len(taps), -i) * tap
        terms.append(_masked(term, segments, axis, len(taps), -i))
    return tf.add_n(terms)


def gradients_shifted(x, taps, segments_before, dy, segments_after, axis):
    """Returns dx and a list of products whose sums are the gradients of the taps.

    x and `segments_before` carry k - 1 more positions before the length, dy and `segments_after`
    as many after it.
    """
    num_taps = len(taps)
    dx_terms, products = [], []
    here = _window(dy, axis, num_taps, 0, extra_first=False)
    for i, tap in enumerate(taps):
        later = _window(dy, axis, num_taps, i, extra_first=False) * tap
        dx_terms.append(_masked(later, segments_after, axis, num_taps, i, extra_first=False))
        earlier = tf.cast(_window(x, axis, num_taps, -i), tf.float32) * tf.cast(here, tf.float32)
        products.append(_masked(earlier, segments_before, axis, num_taps, -i))
    return tf.add_n(dx_terms), products


def _window(x, axis, num_taps, offset, extra_first=True):
    """Cuts the positions at `offset` from the length's own, out of an x with k - 1 more."""
    extra = num_taps - 1
    begin = [0] * x.shape.ndims
    size = x.shape.as_list()
    begin[axis] = offset + (extra if extra_first else 0)
    size[axis] -= extra
    return tf.slice(x, begin, size)


def _masked(term, segments, axis, num_taps, offset, extra_first=True):
    """Zeroes the term where the position at `offset` belongs to another segment."""
    if segments is None or offset == 0:
        return term
    same = tf.equal(
        _window(segments, axis, num_taps, offset, extra_first),
        _window(segments, axis, num_taps, 0, extra_first),
    )
    return tf.where_v2(same, term, tf.zeros([], term.dtype))
