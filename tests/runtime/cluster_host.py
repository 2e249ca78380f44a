"""One host of a test cluster: `python cluster_host.py MODEL_DIR [BINDING ...]`.

TEST_CPUS is the number of its CPU devices, 1 if it is not set.
"""

import os
import sys

from primer.runtime import import_hook

import_hook.install()

import tensorflow as tf  # noqa: E402

from tests.runtime import tiny  # noqa: E402

CLUSTER = (
    "utils.run.mesh_shape = @mesh_shape()",
    "utils.run.mesh_devices = @mesh_devices()",
    "utils.run.layout_rules = 'batch:batch'",
)


def make_cpus() -> None:
    """Makes the CPU devices of this host, before TensorFlow makes its own."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    one = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [one] * int(os.environ.get("TEST_CPUS", "1")))


if __name__ == "__main__":
    make_cpus()
    tiny.run(sys.argv[1], *CLUSTER, *sys.argv[2:])
