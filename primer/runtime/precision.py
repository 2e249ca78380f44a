"""The data types of a run: float32 weights and loss, activations chosen for the hardware.

Three stock defaults distort results (mesh-tensorflow 0.1.21, t5 0.9.4): master weights are
bfloat16, so that every checkpoint, average and evaluation rounds them to 8 bits; t5's main forces
float32 activations without `--tpu`, regardless of the gin files; and the loss is computed in the
activations' type, in which it changes in steps of 0.03.
"""

import functools

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common import build_mode
from primer.common.settings import run_settings
from primer.runtime import cluster

CPU_BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")
GPU_BFLOAT16_CAPABILITY = (8, 0)


@gin.configurable(module="primer")
def precision(activation_dtype: str = "auto") -> tuple[tf.DType, str]:
    """Returns the data type of activations.

    Args:
        activation_dtype: "auto", "float32" or "bfloat16". "auto" is bfloat16 for training where the
            hardware multiplies bfloat16 natively, and float32 otherwise. Decoding always runs in
            float32; so does evaluation, but for `evaluate_checkpoints.activation_dtype`.

    Returns:
        (dtype, reason): the type for the mode that is being built, and a phrase that says why.

    Raises:
        UsageError: another value.
    """
    run_settings.check_activation_dtype(activation_dtype)
    if build_mode.mode() != "train":
        return tf.float32, "evaluation is in float32"
    if activation_dtype != "auto":
        return tf.as_dtype(activation_dtype), "as set"
    if build_mode.for_tpu():
        return tf.bfloat16, "a TPU multiplies bfloat16 natively"
    if hardware_has_bfloat16():
        return tf.bfloat16, "the hardware multiplies bfloat16 natively"
    return tf.float32, "the hardware does not multiply bfloat16 natively"


def variable_dtype() -> mtf.VariableDType:
    """Returns the data types of variables; replaces Mesh-TF's `get_variable_dtype`."""
    return mtf.VariableDType(tf.float32, tf.float32, precision()[0])


def of_activations(setting: str, name: str) -> mtf.VariableDType:
    """Returns the data types of variables with the type of activations that a setting names.

    Args:
        setting: the name of the setting, for the message.
        name: its value, "float32" or "bfloat16".

    Raises:
        UsageError: another value.
    """
    run_settings.check_dtype(setting, name)
    return mtf.VariableDType(tf.float32, tf.float32, tf.as_dtype(name))


def hardware_has_bfloat16() -> bool:
    """Whether the devices that train have native bfloat16 products."""
    gpus = tf.config.list_physical_devices("GPU")
    hosts = cluster.of_this_run()
    # Some host of a cluster may have no GPU: all then train on their CPUs.
    if gpus and (not hosts or all(":GPU:" in name for name in cluster.mesh_devices(hosts))):
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(
            detail.get("compute_capability", (0, 0)) >= GPU_BFLOAT16_CAPABILITY
            for detail in details
        )
    return cpu_has_bfloat16()


def cpu_has_bfloat16() -> bool:
    """Whether this processor has native bfloat16 products."""
    return any(flag in cpu_flags() for flag in CPU_BFLOAT16_FLAGS)


@functools.cache
def cpu_flags() -> frozenset[str]:
    """Returns this processor's instruction set flags; empty without Linux's /proc/cpuinfo."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("flags"):
                    return frozenset(line.split(":", 1)[1].split())
    except OSError:
        pass
    return frozenset()
