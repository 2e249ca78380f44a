"""The mesh of a run without a TPU: TF_CONFIG's hosts, all visible GPUs, a given mesh, or one CPU.

The original's commands bind `utils.tpu_mesh_shape`. With `--tpu` it is used; without, one line
says that it is ignored.
"""

import re
from collections.abc import Sequence

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from absl import flags

from primer.common import checks, console
from primer.errors import UsageError
from primer.gin_config import gin_state
from primer.runtime import cluster

TPU_SETTINGS = "utils.tpu_mesh_shape"


def _tpu_flag() -> str | None:
    return getattr(flags.FLAGS, "tpu", None) if flags.FLAGS.is_parsed() else None


@gin.configurable(module="primer")
def mesh_shape(shape: str | mtf.Shape | None = None) -> str | mtf.Shape:
    """Returns the shape of the mesh, for `utils.run.mesh_shape`.

    Args:
        shape: a Mesh-TF shape such as "batch:2,model:2". None is `utils.tpu_mesh_shape` with
            `--tpu`, else one "batch" dimension over the devices of `mesh_devices`.
    """
    if shape is not None:
        return shape
    if _tpu_flag():
        from mesh_tensorflow.transformer import utils

        return utils.tpu_mesh_shape()
    _report_ignored_tpu_settings()
    devices = mesh_devices()
    return f"batch:{len(devices)}" if devices and len(devices) > 1 else ""


@gin.configurable(module="primer")
def mesh_axes(
    rows: int | None = None, columns: int = 1, names: Sequence[str] = ("rows", "columns")
) -> str:
    """Returns the shape of a mesh of two axes, for `mesh_shape.shape`.

    Args:
        rows: the size of the first axis; None: the devices of `mesh_devices` divided by columns.
        columns: the size of the second axis.
        names: the names of both, as the layout has them.

    Raises:
        UsageError: a size is no whole number from 1, the devices do not make whole rows, or their
            number is not known.
    """
    checks.whole_number("mesh_columns", columns)
    if rows is None:
        rows = _rows_of_devices(columns)
    checks.whole_number("mesh_rows", rows)
    return f"{names[0]}:{rows},{names[1]}:{columns}"


def _rows_of_devices(columns):
    if _tpu_flag():
        raise UsageError(
            "mesh_rows is not set, and with --tpu the number of cores is not known here: set "
            "mesh_rows to the number of cores divided by mesh_columns"
        )
    number = len(mesh_devices() or [""])
    # One processor computes all parts of any mesh.
    if number > 1 and number % columns:
        raise UsageError(
            f"mesh_columns = {columns}: the {number} devices do not make rows of {columns}; choose "
            f"a number that divides {number}, or name the devices in mesh_devices.devices"
        )
    return max(number // columns, 1)


@gin.configurable(module="primer")
def mesh_devices(devices: list[str] | None = None) -> list[str] | None:
    """Returns the devices of the mesh, for `utils.run.mesh_devices`.

    Args:
        devices: TensorFlow device names, or None for those of TF_CONFIG's hosts
            (`cluster.mesh_devices`), else all visible GPUs.

    Returns:
        The device names, or None where the mesh needs none (a TPU, a single device).
    """
    if devices is not None or _tpu_flag():
        return devices
    hosts = cluster.of_this_run()
    if hosts:
        return list(cluster.mesh_devices(hosts))
    gpus = tf.config.list_physical_devices("GPU")
    return [f"gpu:{number}" for number in range(len(gpus))] if len(gpus) > 1 else None


def check_devices(shape: str | mtf.Shape, devices: Sequence[str] | None) -> None:
    """Checks that the devices exist and that the mesh has one device per processor.

    Args:
        shape: the shape of the mesh.
        devices: the device names, or None.

    Raises:
        UsageError: a GPU does not exist, or the numbers of processors and devices differ.
    """
    shape = mtf.convert_to_shape(shape)
    gpus = len(tf.config.list_physical_devices("GPU"))
    for device in devices or ():
        number = re.fullmatch(r"/?(?:device:)?gpu:(\d+)", device.lower())
        if number and int(number[1]) >= gpus:
            raise UsageError(
                f"utils.run.mesh_devices names {device!r}, and TensorFlow sees {gpus} GPUs: "
                "name existing devices, or none to use all GPUs"
            )
    if devices and len(devices) != shape.size:
        raise UsageError(
            f"utils.run.mesh_shape = {shape_as_text(shape)!r} has {shape.size} processors, and "
            f"utils.run.mesh_devices names {len(devices)} devices ({', '.join(devices)}): "
            "give one device per processor"
        )


def shape_as_text(shape: mtf.Shape) -> str:
    """Returns a Mesh-TF shape in gin's notation: "batch:2,model:2"."""
    return ",".join(f"{dimension.name}:{dimension.size}" for dimension in shape.dims)


def shape_of_topology() -> mtf.Shape:
    """Returns `utils.tpu_mesh_shape()` also outside t5_mesh_transformer, whose flags it reads."""
    from mesh_tensorflow.transformer import utils

    is_parsed = flags.FLAGS.is_parsed()
    if not is_parsed:
        flags.FLAGS(["primer"])
    try:
        return utils.tpu_mesh_shape()
    finally:
        if not is_parsed:
            flags.FLAGS.unparse_flags()


def _report_ignored_tpu_settings() -> None:
    """Prints one line if TPU settings are bound; Mesh-TF's own defaults do not count."""
    bound = sorted(
        f"{param} = {value!r}"
        for (_, selector), params in gin_state.bindings().items()
        if selector.endswith(TPU_SETTINGS)
        for param, value in params.items()
        if param == "tpu_topology" or (param == "model_parallelism" and value != 1)
    )
    if bound:
        console.say_once(f"Without --tpu, {TPU_SETTINGS} ({', '.join(bound)}) is ignored.")


def rows_divisor(shape: mtf.Shape, layout: mtf.LayoutRules) -> int:
    """Returns the number of parts into which the mesh splits the rows of a batch."""
    sizes = [
        mtf.tensor_dim_to_mesh_dim_size(layout, shape, mtf.Dimension(name, 0))
        for name in ("outer_batch", "batch")
    ]
    return sizes[0] * sizes[1]
