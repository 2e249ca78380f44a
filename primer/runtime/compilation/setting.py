"""The setting `compile.xla`: whether XLA compiles training, evaluation and decoding."""

from collections.abc import Sequence

import gin
import tensorflow.compat.v1 as tf

from primer.errors import UsageError

AUTO = "auto"


@gin.configurable("compile", module="primer")
def xla_setting(xla: bool | str = AUTO) -> bool | str:
    """Returns whether XLA compiles a step.

    Args:
        xla: "auto" (on where GPUs compute the model, off where processors do), True or False.

    Raises:
        UsageError: another value.
    """
    if xla != AUTO and not isinstance(xla, bool):
        raise UsageError(f"compile.xla = {xla!r}: expected one of 'auto', True, False")
    return xla


def is_on(mesh_devices: Sequence[str] | None) -> bool:
    """Returns whether XLA compiles the steps of a mesh of these devices; None: TensorFlow's first.

    Raises:
        UsageError: as `xla_setting`.
    """
    xla = xla_setting()
    return are_gpus(mesh_devices) if xla == AUTO else bool(xla)


def are_gpus(mesh_devices: Sequence[str] | None) -> bool:
    """Returns whether the devices of a mesh are GPUs; one without a name is, where there is one."""
    named = [device for device in mesh_devices or () if device]
    if named:
        return all("gpu" in device.lower() for device in named)
    return bool(tf.config.list_physical_devices("GPU"))
