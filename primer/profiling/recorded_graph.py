"""Which layer and phase the operations of a run's graph belong to, recorded while it is built."""

import contextlib
from collections.abc import Iterator
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.planning import run_graph
from primer.planning.device_program.recording import RecordingLowering


class RecordedGraph:
    """The graph that Mesh-TF's model function builds in `recording`, a `LoweredGraph`.

    Args:
        model: the Mesh-TF model.

    Attributes:
        graph, mesh, lowering: as of `LoweredGraph`; known after `recording`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.graph: tf.Graph
        self.mesh: Any
        self.lowering: RecordingLowering

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Records the graph that the block lowers; the graph is the same with and without this."""
        with run_graph.replaced(mtf, "Lowering", self._lower):
            yield

    def _lower(self, graph: mtf.Graph, mesh_to_impl: Any, *args: Any, **kwargs: Any) -> Any:
        self.graph = tf.get_default_graph()
        (self.mesh,) = mesh_to_impl.values()
        self.lowering = RecordingLowering(graph, mesh_to_impl, *args, **kwargs)
        return self.lowering
