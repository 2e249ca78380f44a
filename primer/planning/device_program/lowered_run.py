"""The graph of a training step or of an evaluation, lowered for one device of a mesh.

`utils.run` and Mesh-TF's model function build it, as in a run, up to the point at which they would
make savers. No device is needed, no variable is allocated.
"""

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow import ops
from mesh_tensorflow.transformer import utils

from primer.common import build_mode, gc_pause
from primer.gin_config import gin_state
from primer.planning import run_graph
from primer.planning.device_program.counting_mesh import CountingMesh
from primer.planning.device_program.recording import RecordingLowering, with_bodies
from primer.runtime import precision
from primer.runtime.training import carried_rows


class _GraphLowered(Exception):
    """Ends the model function when the graph is lowered."""


class LoweredRun:
    """A graph that is lowered for one device.

    Attributes:
        mode: "train" or "eval".
        for_tpu: whether the graph is a TPU's.
        activation_dtype: the type of activations.
        model: the Mesh-TF model.
        graph: the TensorFlow graph.
        mesh: the mesh, with its collectives.
        lowering: the lowering, with the Mesh-TF graph.
        batch: {dimension: size} of the input: `outer_batch`, `batch` and `length`.
        gradients: {trainable variable: its gradient}; empty in "eval".
    """

    def __init__(
        self, mode: str, for_tpu: bool, mesh_class: Callable[..., Any] = CountingMesh
    ) -> None:
        self.mode = mode
        self.for_tpu = for_tpu
        self._mesh_class = mesh_class
        self.activation_dtype = precision.precision()[0]
        self.model: Any
        self.graph: tf.Graph
        self.mesh: CountingMesh
        self.lowering: RecordingLowering
        self.batch: dict[str, int] = {}
        self.gradients: dict[mtf.Variable, mtf.Tensor] = {}

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Stores what `utils.run` makes in the block, which ends when the graph is lowered."""
        # The overlays of `utils.mtf` look these names up in the package when they are called.
        replacements = [
            (utils, "build_model", self._building_model(utils.build_model)),
            (mtf, "placement_mesh_impl", SimpleNamespace(PlacementMeshImpl=self._make_mesh)),
            (mtf, "import_fully_replicated", self._importing(mtf.import_fully_replicated)),
            (mtf, "gradients", self._differentiating(ops.gradients)),
            (ops, "gradients", self._differentiating(ops.gradients)),
            (mtf, "Lowering", self._lower),
            (mtf, "MtfRestoreHook", self._end),
        ]
        with contextlib.ExitStack() as stack:
            for owner, name, value in replacements:
                stack.enter_context(run_graph.replaced(owner, name, value))
            stack.enter_context(contextlib.suppress(_GraphLowered))
            yield

    def _building_model(self, stock: Callable) -> Callable:
        def build_model(*args, **kwargs):
            self.model = stock(*args, **kwargs)
            return self.model

        return build_model

    def _make_mesh(self, shape: Any, layout: Any, devices: Any) -> Any:
        """Makes the mesh, with which the model function begins in its graph."""
        if self.mode == "train":
            carried_rows.declare(self.model, self.activation_dtype, for_tpu=False)
        self.graph = tf.get_default_graph()
        self.mesh = self._mesh_class(shape, layout, devices)
        return self.mesh

    def _importing(self, stock: Callable) -> Callable:
        def import_fully_replicated(mesh, tensor, shape, name=None):
            self.batch = {dim.name: dim.size for dim in shape.dims}
            return stock(mesh, tensor, shape, name)

        return import_fully_replicated

    def _differentiating(self, stock: Callable) -> Callable:
        def gradients(ys, xs, *args, **kwargs):
            found = stock(ys, xs, *args, **kwargs)
            variables = {v.outputs[0]: v for v in ys[0].graph.trainable_variables}
            if set(xs) == set(variables):  # Not the gradients inside a recomputed layer.
                pairs = zip(xs, found, strict=True)
                self.gradients = {variables[x]: g for x, g in pairs if g is not None}
            return found

        return gradients

    def _lower(self, *args: Any, **kwargs: Any) -> RecordingLowering:
        self.lowering = RecordingLowering(*args, **kwargs)
        return self.lowering

    def _end(self, lowering: mtf.Lowering) -> None:
        """Stands in for the hook that the model function makes after the step is complete."""
        del lowering
        self._gradients_after_loops()
        raise _GraphLowered

    def _gradients_after_loops(self) -> None:
        """Replaces the gradients of one microbatch by their sums, which the loop returns."""
        after: dict[mtf.Tensor, mtf.Tensor] = {}
        for operation in with_bodies(self.lowering.graph.operations):
            if isinstance(operation, mtf.WhileLoopOperation):
                after.update(zip(operation._body_outputs, operation.outputs, strict=True))
        self.gradients = {v: after.get(g, g) for v, g in self.gradients.items()}


def lower(
    vocabulary_size: int,
    mode: str,
    mesh_shape: str,
    layout_rules: str,
    for_tpu: bool = True,
    mesh_class: Callable[..., Any] = CountingMesh,
    will_run: bool = False,
) -> LoweredRun:
    """Builds and lowers the graph that gin describes.

    Args:
        vocabulary_size: the number of token ids.
        mode: "train" or "eval".
        mesh_shape: as `utils.run.mesh_shape`.
        layout_rules: as `utils.run.layout_rules`.
        for_tpu: whether the graph is a TPU's: no operation is one of a CPU, and with
            `precision.activation_dtype = "auto"` activations of training are bfloat16. Else this
            machine decides.
        mesh_class: the mesh that lowers it.
        will_run: as for `run_graph.build_run`.

    Raises:
        UsageError: gin describes another model than a language model.
    """
    settings = {
        (run_graph.RUN, "mesh_shape"): mesh_shape,
        (run_graph.RUN, "layout_rules"): layout_rules,
    }
    with (
        gc_pause.paused(),
        gin_state.parameters_bound(settings),
        build_mode.building(mode, for_tpu),
        _loops_in_the_graph(),
    ):
        run = LoweredRun(mode, for_tpu, mesh_class)
        with run.recorded():
            run_graph.build_run(vocabulary_size, mode, will_run=will_run)
    return run


@contextlib.contextmanager
def _loops_in_the_graph() -> Iterator[None]:
    """Makes the operations of loops part of the graph, as in a run, not functions of their own."""
    are_functions = tf.control_flow_v2_enabled()
    tf.disable_control_flow_v2()
    try:
        yield
    finally:
        if are_functions:
            tf.enable_control_flow_v2()
