"""The `--chip cpu`: this machine's processor, measured, whose parts are the devices of the mesh.

Devices of a CPU mesh share the processor, its memory and its memory's bandwidth: a mesh of eight
has eight devices of an eighth each. TensorFlow runs each operation alone, which takes some
microseconds whatever it computes: with many devices most of a small model's step.
"""

import os
import time

import tensorflow.compat.v1 as tf

from primer.planning.machines import chips
from primer.runtime import session
from primer.runtime.training import product_speed

# Numbers in a tensor of the activations of a small model: 4 MiB.
ELEMENTS = 2**20
RUNS = 10
# Operations of a run: chains that do not wait for one another, as those of several devices.
CHAINS, LENGTH = 8, 250


def this_processor(dtype: str = "float32", config: tf.ConfigProto | None = None) -> chips.Chip:
    """Returns this machine as a chip; takes about a second.

    Args:
        dtype: the data type of matrix products, by TensorFlow's name.
        config: the configuration of the sessions that measure; None: that of a run, which uses all
            threads of the machine.
    """
    config = config or session.default_config()
    alone = operation_seconds(config)
    speed = product_speed.measure(tf.as_dtype(dtype), "cpu:0", config)
    return chips.Chip(
        chips.CPU,
        "a part of this machine's processor",
        {dtype: speed, "float32": speed},
        memory=float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
        memory_bandwidth=bandwidth(config),
        shares_host=True,
        operation_seconds=alone,
        transfer_seconds=transfer_seconds(config, alone),
    )


def bandwidth(config: tf.ConfigProto) -> float:
    """Returns the bytes per second that element-wise operations read and write."""
    length = 20
    return 3 * 4 * ELEMENTS * length / _seconds(config, 1, length, ELEMENTS)


def operation_seconds(config: tf.ConfigProto) -> float:
    """Returns the time of an operation on a few numbers, the processor's threads sharing them."""
    return _seconds(config, CHAINS, LENGTH, CHAINS) / (CHAINS * LENGTH)


def transfer_seconds(config: tf.ConfigProto, alone: float) -> float:
    """Returns what such an operation takes more if its operand is another device's.

    Args:
        config: the configuration of the session.
        alone: its `operation_seconds`.
    """
    crossing = _seconds(config, CHAINS, LENGTH, CHAINS, devices=2) / (CHAINS * LENGTH)
    return max(crossing - alone, 0.0)


def _seconds(
    config: tf.ConfigProto, chains: int, length: int, elements: int, devices: int = 1
) -> float:
    """Returns the shortest time of chains of operations, each on the next device."""
    config = session.with_cpus(config, devices)
    with tf.Graph().as_default(), tf.Session(config=config) as sess:
        step = tf.group([_chain(length, elements, devices) for _ in range(chains)])
        sess.run(step)
        return min(_run_seconds(sess, step) for _ in range(RUNS))


def _chain(length: int, elements: int, devices: int) -> tf.Operation:
    """Makes operations that each read the results of the two before: none writes over another's."""
    with tf.device("cpu:0"):
        x = y = tf.random_uniform([elements])
    for number in range(length):
        with tf.device(f"cpu:{number % devices}"):
            x, y = tf.maximum(x, y), x
    return x.op


def _run_seconds(sess: tf.Session, step: tf.Operation) -> float:
    began = time.perf_counter()
    sess.run(step)
    return time.perf_counter() - began
