"""The FLOP/s of a large matrix product on this machine, against which utilization is measured."""

import math
import time
from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf

from primer.runtime import precision, session

# Rows and columns: large enough for the full speed of a device, with a product in milliseconds.
CPU_SIZE = 1024
GPU_SIZE = 4096
# Of a type that the processor only emulates, at a hundredth of its speed or less.
EMULATED_SIZE = 256
# Products in one run of the session, so that a GPU does not wait for the session.
GPU_PRODUCTS = 16
SECONDS = 0.1  # Of measuring, after a first run that prepares the graph.
MOST_RUNS = 20


def size(dtype: tf.DType, device: str) -> int:
    """Returns the rows and columns of the product.

    Args:
        dtype, device: as for `measure`.
    """
    if _is_gpu(device):
        return GPU_SIZE
    is_emulated = dtype == tf.bfloat16 and not precision.cpu_has_bfloat16()
    return EMULATED_SIZE if is_emulated else CPU_SIZE


def measure(
    dtype: tf.DType,
    device: str,
    config: Any = None,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Returns the FLOP/s of the product on one device, in the fastest of some runs.

    The graph and the session are its own: the run's graph and its random numbers stay as they are.

    Args:
        dtype: the data type of the product.
        device: the device that computes it: "gpu:0" or "cpu:0".
        config: the configuration of the session; None: that of training.
        clock: returns seconds; `time.process_time` measures the time of processors.
    """
    products = GPU_PRODUCTS if _is_gpu(device) else 1
    rows = size(dtype, device)
    with tf.Graph().as_default(), tf.device(device):
        spread = math.sqrt(3 / rows)  # A product of many has the values of one.
        weight = tf.get_variable(
            "weight",
            [rows, rows],
            dtype,
            tf.random_uniform_initializer(-spread, spread, seed=1, dtype=dtype),
            use_resource=True,
        )
        value = weight.read_value()
        y = value
        for _ in range(products):
            y = tf.matmul(y, value)
        with tf.Session(config=config or session.default_config()) as sess:
            sess.run(weight.initializer)
            fastest = min(_seconds(sess, y.op, clock))
    return products * 2 * rows**3 / fastest


def _seconds(sess, operation, clock):
    """Yields the seconds of each run but the first, until SECONDS have passed."""
    sess.run(operation)
    end = time.perf_counter() + SECONDS
    for _ in range(MOST_RUNS):
        began = clock()
        sess.run(operation)
        yield clock() - began
        if time.perf_counter() > end:
            return


def _is_gpu(device: str) -> bool:
    return "gpu" in device.lower()
