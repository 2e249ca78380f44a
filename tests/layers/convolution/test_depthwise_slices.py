"""The convolution of one slice and its gradients, by kernels and by shifted products."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers.convolution import depthwise_slices
from tests.layers.convolution.convolution_helpers import IDS, check, draw, oracle

NUM_TAPS = 3


def kernels(x, taps, ids, dy):
    y = depthwise_slices.convolve(x, taps, ids)
    return (y, *depthwise_slices.gradients(x, taps, ids, dy))


def shifted(x, taps, ids, dy):
    """The same from slices with a halo, here of zeros."""
    extra = NUM_TAPS - 1
    taps = tf.unstack(taps)
    x = tf.pad(x, [[0, 0], [extra, 0], [0, 0]])
    dy = tf.pad(dy, [[0, 0], [0, extra], [0, 0]])
    before = after = None
    if ids is not None:
        before = tf.pad(ids, [[0, 0], [extra, 0]])[:, :, tf.newaxis]
        after = tf.pad(ids, [[0, 0], [0, extra]])[:, :, tf.newaxis]
    y = depthwise_slices.convolve_shifted(x, taps, before, axis=1)
    dx, products = depthwise_slices.gradients_shifted(x, taps, before, dy, after, axis=1)
    return y, dx, tf.stack([tf.reduce_sum(p, axis=[0, 1]) for p in products])


@pytest.mark.parametrize("implementation", [kernels, shifted])
@pytest.mark.parametrize("packed", [False, True])
def test_both_implementations_compute_the_sums_of_numpy(implementation, packed):
    x, taps, dy = draw(4, 8, 2), draw(NUM_TAPS, 2), draw(4, 8, 2)
    with tf.Graph().as_default(), tf.Session() as session:
        ids = tf.constant(IDS.astype(np.int32)) if packed else None
        values = session.run(implementation(*map(tf.constant, (x, taps)), ids, tf.constant(dy)))
    check(values, oracle(x, taps, IDS if packed else np.ones([4, 8]), dy))


@pytest.mark.parametrize("implementation", [kernels, shifted])
def test_infinities_in_another_segment_do_not_spread(implementation):
    x = np.ones([1, 6, 2], np.float32)
    x[0, :3] = np.inf
    taps = np.array([[1.0], [2.0], [4.0]], np.float32) * np.ones([1, 2], np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        ids = tf.constant([[1, 1, 1, 2, 2, 2]])
        y, *_ = implementation(tf.constant(x), tf.constant(taps), ids, tf.constant(np.ones_like(x)))
        y = session.run(y)
    np.testing.assert_array_equal(y[0, 3:, 0], [1.0, 3.0, 7.0])


@pytest.mark.parametrize("packed", [False, True])
def test_shifted_products_compile_with_xla(packed):
    x, taps, dy = draw(4, 8, 3), draw(3, 3), draw(4, 8, 3)
    ids = IDS.astype(np.int32)

    @tf.function(jit_compile=True)
    def forwards(x, ids):
        padded = tf.pad(x, [[0, 0], [2, 0], [0, 0]])
        segments = tf.pad(ids, [[0, 0], [2, 0]])[:, :, tf.newaxis] if packed else None
        return depthwise_slices.convolve_shifted(padded, list(taps), segments, axis=1)

    with tf.Graph().as_default(), tf.Session() as session:
        y = session.run(forwards(tf.constant(x), tf.constant(ids)))
    np.testing.assert_allclose(
        y, oracle(x, taps, ids if packed else np.ones([4, 8]), dy)[0], atol=1e-5
    )
