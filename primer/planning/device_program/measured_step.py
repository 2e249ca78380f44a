"""What TensorFlow allocates, and how long it takes, when this machine's CPU runs a step as a mesh.

The graph is that of a local run on a mesh of CPU devices (Mesh-TF's PlacementMeshImpl), with
weights of zero and a batch of zeros. For the memory a step runs with TensorFlow's full trace
(`RunOptions.FULL_TRACE`), which records for each operation what it allocates and when, and when it
is freed, for all devices. There one thread runs the operations, so that their order is TensorFlow's
own but does not depend on the timing of threads.
"""

import contextlib
import dataclasses
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.placement_mesh_impl import PlacementMeshImpl

from primer.planning.device_program import lowered_run
from primer.planning.device_program.flops import PRODUCTS
from primer.planning.device_program.lowered_run import LoweredRun
from primer.planning.device_program.operations import Step
from primer.planning.device_program.parts import BACKWARD
from primer.runtime import session as run_session
from primer.runtime.patches import resource_variables


@dataclasses.dataclass(frozen=True)
class MeasuredStep:
    """A step of the first device of the mesh; all devices have equal work.

    Attributes:
        variables: {name of a Mesh-TF variable: bytes of its slice}.
        before_backward: bytes that exist when the first product of the backward pass begins,
            without variables (`Memory.before_backward`); 0 in "eval".
        peak: most bytes that exist at once, without the variables that exist before the step.
    """

    variables: dict[str, int]
    before_backward: int
    peak: int


def measure(
    vocabulary_size: int, mesh_shape: str, layout_rules: str, mode: str = "train"
) -> MeasuredStep:
    """Runs a step of the model that gin describes.

    Args:
        vocabulary_size: the number of token ids.
        mesh_shape: as `utils.run.mesh_shape`.
        layout_rules: as `utils.run.layout_rules`.
        mode: "train" or "eval".
    """
    run = _lowered(vocabulary_size, mesh_shape, layout_rules, mode)
    with _ready_session(run, one_thread()) as (session, step):
        stats = _traced(session, step)
    nodes = [node for device in stats.dev_stats if _is_first(device) for node in device.node_stats]
    return MeasuredStep(_variable_bytes(run), _before_backward(run, nodes), _peak(nodes))


@contextlib.contextmanager
def timer(
    vocabulary_size: int, mesh_shape: str, layout_rules: str, config: tf.ConfigProto
) -> Iterator[Callable[[], float]]:
    """Yields a function that runs a training step of the whole mesh and returns its seconds.

    Args:
        vocabulary_size, mesh_shape, layout_rules: as for `measure`.
        config: the configuration of the session.
    """
    run = _lowered(vocabulary_size, mesh_shape, layout_rules, "train")
    with _ready_session(run, config) as (session, step):

        def seconds() -> float:
            start = time.perf_counter()
            session.run(step)
            return time.perf_counter() - start

        yield seconds


def one_thread() -> tf.ConfigProto:
    """Returns the configuration of a session that runs one operation after another."""
    return tf.ConfigProto(
        inter_op_parallelism_threads=1,
        intra_op_parallelism_threads=1,
        use_per_session_threads=True,
        graph_options=_no_rewrites(),
    )


def _lowered(vocabulary_size: int, mesh_shape: str, layout_rules: str, mode: str) -> LoweredRun:
    return lowered_run.lower(
        vocabulary_size, mode, mesh_shape, layout_rules, for_tpu=False, mesh_class=placed_mesh
    )


@contextlib.contextmanager
def _ready_session(
    run: LoweredRun, config: tf.ConfigProto
) -> Iterator[tuple[tf.Session, tf.Operation]]:
    """Yields a session and the step, which it has run once: that prepares the graph."""
    with run.graph.as_default():
        step = tf.group(run.lowering.results())
        initializers = [tf.global_variables_initializer(), *_slice_initializers(run)]
        config = run_session.with_cpus(config, run.mesh.size)
        with tf.Session(config=config) as session:
            session.run(initializers)
            session.run(step)
            yield session, step


def placed_mesh(shape: Any, layout: Any, devices: Any = None) -> PlacementMeshImpl:
    """Returns a mesh of this machine's CPU devices, one each; `devices` has no effect."""
    del devices
    resource_variables.use_resources()
    number = mtf.convert_to_shape(shape).size
    names = [f"/device:CPU:{index}" for index in range(number)] if number > 1 else [""]
    return PlacementMeshImpl(shape, layout, names)


def _slice_initializers(run: LoweredRun) -> list[tf.Operation]:
    slices = []
    for laid_out in run.lowering.variables.values():
        slices += laid_out.laid_out_tensor.all_slices
    return [part.initializer for part in slices if part not in tf.global_variables()]


def _no_rewrites() -> tf.GraphOptions:
    from tensorflow.core.protobuf import rewriter_config_pb2

    return tf.GraphOptions(
        rewrite_options=rewriter_config_pb2.RewriterConfig(disable_meta_optimizer=True),
        optimizer_options=tf.OptimizerOptions(opt_level=tf.OptimizerOptions.L0),
    )


def _traced(session: tf.Session, step: tf.Operation) -> Any:
    metadata = tf.RunMetadata()
    options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
    session.run(step, options=options, run_metadata=metadata)
    return metadata.step_stats


def _is_first(device: Any) -> bool:
    return device.device.endswith("/device:CPU:0")


def _before_backward(run: LoweredRun, nodes: Sequence[Any]) -> int:
    """Returns what exists when the first product of the backward pass begins."""
    products = {
        node.operation.name
        for node in Step(run).nodes
        if node.phase == BACKWARD and node.kind in PRODUCTS
    }
    start = min((n.all_start_micros for n in nodes if n.node_name in products), default=0)
    return sum(size for when, size in _changes(nodes) if when <= start)


def _peak(nodes: Iterable[Any]) -> int:
    """Returns the most bytes at once; what is freed and allocated in one microsecond is even."""
    changes: Counter[int] = Counter()
    for when, size in _changes(nodes):
        changes[when] += size
    return max(itertools.accumulate(changes[when] for when in sorted(changes)), default=0)


def _changes(nodes: Iterable[Any]) -> Iterator[tuple[int, int]]:
    """Yields (microsecond, bytes) of what operations allocate; negative when it is freed."""
    for node in nodes:
        for memory in node.memory:
            for record in memory.allocation_records:
                yield record.alloc_micros, record.alloc_bytes


def _variable_bytes(run: LoweredRun) -> dict[str, int]:
    sizes = {}
    for variable, laid_out in run.lowering.variables.items():
        part = laid_out.laid_out_tensor.all_slices[0]
        sizes[variable.name] = part.shape.num_elements() * part.dtype.base_dtype.size
    return sizes
