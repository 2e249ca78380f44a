"""The `--chip cpu`: this machine's processor, measured, whose parts are the devices of the mesh.

Devices of a CPU mesh share the processor, its memory and its memory's bandwidth: a mesh of eight
has eight devices of an eighth each. A collective copies the parts through the memory.
"""

import os
import time

import numpy as np
import tensorflow.compat.v1 as tf

from primer.planning.machines import chips
from primer.runtime.training import product_speed

# Bytes of the array that is copied: larger than the caches.
COPIED = 2**28
RUNS = 3


def this_processor(dtype: str = "float32") -> chips.Chip:
    """Returns this machine as a chip; takes about a second.

    Args:
        dtype: the data type of matrix products, by TensorFlow's name.
    """
    speed = product_speed.measure(tf.as_dtype(dtype), "cpu:0")
    bandwidth = copy_bandwidth()
    return chips.Chip(
        chips.CPU,
        "a part of this machine's processor",
        {dtype: speed, "float32": speed},
        memory=float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
        memory_bandwidth=bandwidth,
        link_bandwidth=bandwidth,
        shares_host=True,
    )


def copy_bandwidth() -> float:
    """Returns the bytes per second of a copy between arrays: those that are read and written."""
    source = np.ones(COPIED // 8)
    target = np.zeros_like(source)  # Written once, so that no run waits for its pages.
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        np.copyto(target, source)
        seconds.append(time.perf_counter() - began)
    return 2 * COPIED / min(seconds)
