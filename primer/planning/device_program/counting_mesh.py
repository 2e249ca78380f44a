"""A mesh that lowers the program of one device as Mesh-TF's SimdMeshImpl does, and records it.

SimdMeshImpl is SPMD: all devices run one program, in which a tensor is its slice, and collectives
exchange slices. It needs a TPU's device assignment and creates the slices of a variable for all
devices. `CountingMesh` inherits how it lowers operations, and differs where it needs the devices:

- a variable has one slice, no copies from and to its master;
- the number of the processor is a constant (of its type and shape);
- it records each collective that it lowers.

The graph can be inspected on any machine and cannot run: a CPU has no kernels of the collectives.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow import tpu_variables
from mesh_tensorflow import utils as mtf_utils
from mesh_tensorflow.simd_mesh_impl import SimdMeshImpl

# Type of a TensorFlow operation -> the name of its kind.
KINDS = {
    "CrossReplicaSum": "all_reduce",
    "AllToAll": "all_to_all",
    "CollectivePermute": "permute",
}


@dataclasses.dataclass(frozen=True)
class LoweredCollective:
    """A collective operation of the lowered graph.

    Attributes:
        operation: the TensorFlow operation; its type is a key of KINDS.
        purpose: what Mesh-TF asked for. It lowers an "all_concat" and a maximum over devices to an
            all-reduce of the whole result, to which each device gives its slice and zeros.
        axes: the axes of the mesh over which it goes.
    """

    operation: tf.Operation
    purpose: str
    axes: tuple[int, ...]

    @property
    def kind(self) -> str:
        """What devices do: a value of KINDS."""
        return KINDS[self.operation.type]


class CountingMesh(SimdMeshImpl):
    """Lowers the program of one device.

    Attributes:
        collectives: the collectives in the order in which they were lowered.
    """

    def __init__(self, shape: Any, layout: Any, devices: Any = None) -> None:
        """See base class; `devices` has no effect."""
        del devices
        super().__init__(shape, layout)
        self.collectives: list[LoweredCollective] = []
        self._pnum: tf.Tensor | None = None
        self._groups: dict[tuple[int, ...], list[list[int]]] = {}
        self._purposes: list[str] = []

    @property
    def pnum_tensor(self) -> tf.Tensor:
        """The processor number, here always 0."""
        if self._pnum is None:
            with mtf_utils.outside_all_rewrites():
                self._pnum = tf.constant(0, tf.int32, name="pnum_constants")
        return self._pnum

    @property
    def supports_control_dependencies(self) -> bool:
        """Whether `mtf.depend` can be lowered, as where a memory goes from row to row.

        SimdMeshImpl refuses it; the meshes of CPUs and GPUs, which run it, do not.
        """
        return True

    class LaidOutVariable(SimdMeshImpl.LaidOutVariable):
        """A variable with one slice."""

        def __init__(self, variable: mtf.Variable, mesh_impl: "CountingMesh") -> None:
            """See base class."""
            self._variable = variable
            self._mesh_impl = mesh_impl
            shape = mesh_impl.slice_shape(variable.outputs[0].shape)
            part = tf.Variable(
                initial_value=tf.zeros(shape, variable.slice_dtype),
                trainable=False,
                collections=["TPU_VAR"],
                name=f"{variable.name}_slice_0",
                use_resource=True,
            )
            self._laid_out_tensor = mesh_impl.LaidOutTensor(
                [tpu_variables.ReplicatedVariable(variable.name, [part])]
            )
            self._copy_master_to_slices = self._copy_slices_to_master = tf.no_op()
            mesh_impl.copy_master_to_slice_ops.append(self._copy_master_to_slices)

    def allreduce(self, x: Any, mesh_axes: Sequence[int], reduction_fn_string: str) -> Any:
        """See base class."""
        with self._purpose(f"all_reduce_{reduction_fn_string.lower()}"):
            result = super().allreduce(x, mesh_axes, reduction_fn_string)
            if mesh_axes and reduction_fn_string == "SUM":
                self._record(result, mesh_axes)
        return result

    def allconcat(self, x: Any, mesh_axis: int, concat_axis: int, stack: bool = False) -> Any:
        """See base class."""
        with self._purpose("all_concat"):
            return super().allconcat(x, mesh_axis, concat_axis, stack)

    def alltoall(self, x: Any, mesh_axis: int, split_axis: int, concat_axis: int) -> Any:
        """See base class."""
        with self._purpose("all_to_all"):
            result = super().alltoall(x, mesh_axis, split_axis, concat_axis)
            self._record(result, [mesh_axis])
        return result

    def receive(self, x: Any, mesh_axis: int, source_pcoord: Sequence[int | None]) -> Any:
        """See base class."""
        with self._purpose("permute"):
            result = super().receive(x, mesh_axis, source_pcoord)
            if any(source is not None for source in source_pcoord):
                self._record(result, [mesh_axis])
        return result

    def random(self, shape: mtf.Shape, tf_fn: Any, kwargs: dict[str, Any]) -> Any:
        """See base class."""
        with self._purpose("same_random_numbers"):
            return super().random(shape, tf_fn, kwargs)

    def _create_group_assignment(self, mesh_axes: Sequence[int]) -> list[list[int]]:
        """Returns the groups of devices along axes; they are the same each time."""
        axes = tuple(mesh_axes)
        if axes not in self._groups:
            self._groups[axes] = super()._create_group_assignment(mesh_axes)
        return self._groups[axes]

    @contextlib.contextmanager
    def _purpose(self, purpose: str) -> Iterator[None]:
        """Sets the purpose of the collectives that the block lowers, unless an outer block did."""
        self._purposes.append(purpose)
        try:
            yield
        finally:
            self._purposes.pop()

    def _record(self, result: Any, mesh_axes: Sequence[int]) -> None:
        """Records the collective whose output, possibly after a cast, is a result."""
        operation = result.one_slice.op
        while operation.type not in KINDS:
            operation = operation.inputs[0].op
        self.collectives.append(
            LoweredCollective(operation, self._purposes[0], tuple(sorted(mesh_axes)))
        )
