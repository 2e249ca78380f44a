"""The mesh of a run without a TPU: TF_CONFIG's hosts, all visible GPUs, as given, or one CPU.

The original's commands bind `utils.tpu_mesh_shape`; with `--tpu` that is used, without it one line
says that it is not.
"""

import re

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from absl import flags

from primer.common import console
from primer.errors import UsageError
from primer.gin_config import gin_state
from primer.runtime import cluster

TPU_SETTINGS = "utils.tpu_mesh_shape"


def _tpu():
    return getattr(flags.FLAGS, "tpu", None) if flags.FLAGS.is_parsed() else None


@gin.configurable(module="primer")
def mesh_shape(shape=None):
    """The shape of the mesh, for `utils.run.mesh_shape`.

    Args:
        shape: a Mesh-TF shape such as "batch:2,model:2", or None: with `--tpu` what
            `utils.tpu_mesh_shape` says, else one "batch" axis over the devices of `mesh_devices`.

    Returns:
        A string or mtf.Shape.
    """
    if shape is not None:
        return shape
    if _tpu():
        from mesh_tensorflow.transformer import utils

        return utils.tpu_mesh_shape()
    _say_what_is_ignored()
    devices = mesh_devices()
    return f"batch:{len(devices)}" if devices and len(devices) > 1 else ""


@gin.configurable(module="primer")
def mesh_devices(devices=None):
    """The devices of the mesh, for `utils.run.mesh_devices`.

    Args:
        devices: a list of TensorFlow device names, or None: TF_CONFIG's hosts, else all visible
            GPUs.

    Returns:
        A list of device names, or None where the mesh needs none (a TPU, one device).
    """
    if devices is not None or _tpu():
        return devices
    hosts = cluster.of_this_run()
    if hosts:
        return hosts.devices()
    gpus = tf.config.list_physical_devices("GPU")
    return [f"gpu:{number}" for number in range(len(gpus))] if len(gpus) > 1 else None


def check(shape, devices):
    """Raises UsageError where mesh, list of devices and this machine do not fit together."""
    shape = mtf.convert_to_shape(shape)
    gpus = len(tf.config.list_physical_devices("GPU"))
    for device in devices or ():
        number = re.fullmatch(r"/?(?:device:)?gpu:(\d+)", device.lower())
        if number and int(number[1]) >= gpus:
            raise UsageError(
                f"utils.run.mesh_devices names {device!r}, and TensorFlow sees {gpus} GPUs here: "
                "name devices that there are, or none for all of them"
            )
    if devices and len(devices) != shape.size:
        raise UsageError(
            f"utils.run.mesh_shape = {as_text(shape)!r} has {shape.size} processors, and "
            f"utils.run.mesh_devices names {len(devices)} devices ({', '.join(devices)}): "
            "give one device per processor"
        )


def as_text(shape) -> str:
    """A Mesh-TF shape as gin files write it: "batch:2,model:2"."""
    return ",".join(f"{dimension.name}:{dimension.size}" for dimension in shape.dims)


def _say_what_is_ignored():
    """One line where a TPU's settings were given; Mesh-TF's own default is not worth one."""
    bound = sorted(
        f"{param} = {value!r}"
        for (_, selector), params in gin_state.bindings().items()
        if selector.endswith(TPU_SETTINGS)
        for param, value in params.items()
        if param == "tpu_topology" or (param == "model_parallelism" and value != 1)
    )
    if bound:
        console.say_once(f"Without --tpu, {TPU_SETTINGS} ({', '.join(bound)}) is ignored.")


def rows_divisor(shape, layout) -> int:
    """Into how many parts the mesh cuts the rows of a batch.

    Args:
        shape: a mtf.Shape.
        layout: mtf.LayoutRules.
    """
    sizes = [
        mtf.tensor_dim_to_mesh_dim_size(layout, shape, mtf.Dimension(name, 0))
        for name in ("outer_batch", "batch")
    ]
    return sizes[0] * sizes[1]
