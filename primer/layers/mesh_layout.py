"""Where a layout splits dimensions over the mesh, and sums over the processors of a mesh."""

from collections.abc import Iterable
from typing import Any

import mesh_tensorflow as mtf


def mesh_axis(model: Any, dim: mtf.Dimension) -> int | None:
    """Returns the index of the mesh axis over which the model's layout splits `dim`, or None.

    Args:
        model: a Unitransformer; its `layout` and `mesh_shape` may be None.
        dim: a Dimension.
    """
    if model.layout is None or model.mesh_shape is None:
        return None
    layout = mtf.convert_to_layout_rules(model.layout)
    return layout.tensor_dimension_to_mesh_axis(dim, mtf.convert_to_shape(model.mesh_shape))


def num_splits(model: Any, dim: mtf.Dimension) -> int:
    """Returns the number of processors over which the model's layout splits `dim`; 1 if whole."""
    axis = mesh_axis(model, dim)
    return 1 if axis is None else mtf.convert_to_shape(model.mesh_shape).dims[axis].size


def split_axes(mesh_impl: mtf.MeshImpl, dims: Iterable[mtf.Dimension]) -> list[int]:
    """Returns the mesh axes over which a lowered mesh splits `dims`, in the order of `dims`."""
    axes = [mesh_impl.tensor_dimension_to_mesh_axis(dim) for dim in dims]
    return [axis for axis in axes if axis is not None]


def sum_over_axes(
    lowering: mtf.Lowering,
    mesh_impl: mtf.MeshImpl,
    slices: Any,
    axes: list[int],
    output: mtf.Tensor,
    counter: str,
) -> Any:
    """Sums laid-out slices over mesh axes, where there are any, when the result is first used.

    Args:
        lowering: the Lowering, which counts the communication.
        mesh_impl: its MeshImpl.
        slices: a laid-out tensor.
        axes: the mesh axes to sum over.
        output: the Tensor that the sum is the lowering of.
        counter: the operation's name in the counter `allreduce/<axes>/<counter>`.
    """
    if not axes:
        return slices

    def add_to_counter() -> None:
        lowering.add_counter(f"allreduce/{axes}/{counter}", lowering.laid_out_size(output))

    return mtf.LazyAllreduceSum(mesh_impl, slices, axes, add_counter_fn=add_to_counter)
