"""One seed for initial values, data order, dropout and jitter.

Stock Mesh-TensorFlow draws op seeds from Python's global generator and lets every random
operation keep its own state, so that a run never repeats and a resumed run draws anew. Here a
random operation is a pure function of (seed, its name, the step, the loop iteration, the slice):
a resumed run draws what the uninterrupted one would have drawn. An initial value is a function of
(seed, variable name), whatever else the graph holds and however it is laid out on a mesh.
"""

import contextlib
import copy
import functools
import zlib

import gin
import tensorflow.compat.v1 as tf

# The graph collection that holds the integer which tells one run of the graph from the next.
STEP_KEY = "primer_random_step"

# While the body of a loop is lowered: the scalars that count its iterations, outermost first.
_loop_counters = []
_at_loop_end = []
_restored = [False]  # Whether initial values are unused; innermost last.


@gin.configurable(module="primer")
def run_seed(seed=0):
    """The seed of a run.

    Args:
        seed: an integer; the same seed, data and settings give the same run.

    Returns:
        The seed.
    """
    return int(seed)


def stable_hash(*parts) -> int:
    """A 31-bit hash of the parts that is the same in every process (`hash` of a str is not)."""
    return zlib.crc32("/".join(str(part) for part in parts).encode()) & 0x7FFFFFFF


def set_step_key(tensor):
    """Names the scalar that changes with every run of the graph: the step, or a batch counter."""
    collection = tf.get_collection_ref(STEP_KEY)
    collection[:] = [tensor]


def _step_key():
    collection = tf.get_collection(STEP_KEY)
    if collection:
        return collection[0]
    step = tf.train.get_global_step()
    return 0 if step is None else step


def increment_step_last(train_op):
    """Lets the step of a train operation increase only when all its other parts are done.

    In Mesh-TF's group it runs beside them, so that the learning rate and the random draws of a
    step may see its number or the next one's.
    """
    parts = _parts(train_op)
    increments = [part for part in parts if _changes_the_step(part)]
    others = [part for part in parts if part not in increments]
    for increment in increments:
        increment._add_control_inputs(others)


def _parts(group):
    """The operations of a tf.group; it nests where they are on several devices."""
    if group.type != "NoOp":
        return [group]
    return [part for inner in group.control_inputs for part in _parts(inner)]


def _changes_the_step(operation):
    step = tf.train.get_global_step()
    return operation.type.startswith("Assign") and operation.inputs[0].op is step.op


def _stateless_twins():
    """The stateful function that a layer names -> its stateless twin."""
    return {
        tf.random.uniform: tf.random.stateless_uniform,
        tf.random.normal: tf.random.stateless_normal,
        tf.random_uniform: tf.random.stateless_uniform,
        tf.random_normal: tf.random.stateless_normal,
        tf.random.truncated_normal: tf.random.stateless_truncated_normal,
    }


def patch(ops):
    """Mends `mesh_tensorflow.ops`: random operations, loops and initial values."""
    ops.RandomOperation.lower = _keyed_random_lower(ops.RandomOperation.lower)
    ops.WhileLoopOperation.__init__ = _counted_loop_init(ops.WhileLoopOperation.__init__)
    ops.Variable.__init__ = _seeded_variable_init(ops.Variable.__init__)


@contextlib.contextmanager
def weights_restored():
    """Inside the block a graph is built whose weights come from a checkpoint, or that never runs.

    Random initial values would be a good part of its operations, and are left out.
    """
    _restored.append(True)
    try:
        yield
    finally:
        _restored.pop()


def _keyed_random_lower(stock_lower):
    """Lowers a RandomOperation to the stateless twin of its function, where it has one.

    A TPU (`SimdMeshImpl`) keeps the stock way: its slices are synchronized by an allreduce.
    """

    @functools.wraps(stock_lower)
    def lower(operation, lowering):
        mesh_impl = lowering.mesh_impl(operation)
        stateless_fn = _stateless_twins().get(operation._tf_fn)
        if stateless_fn is None or not hasattr(mesh_impl, "devices"):
            return stock_lower(operation, lowering)
        shape = operation.outputs[0].shape
        kwargs = {key: value for key, value in operation._kwargs.items() if key != "name"}
        dtype = kwargs.pop("dtype", tf.float32)
        # The stateless functions know no bfloat16 on every TensorFlow that we support.
        draw_type = tf.float32 if dtype == tf.bfloat16 else dtype
        name_seed = stable_hash(run_seed(), operation.name)
        key = _run_key()

        def draw(slice_number):
            seed = name_seed + 7919 * tf.cast(slice_number, tf.int64)
            numbers = stateless_fn(
                mesh_impl.slice_shape(shape), seed=tf.stack([seed, key]), dtype=draw_type, **kwargs
            )
            return tf.cast(numbers, dtype)

        # Processors that hold the same slice have the same number, and draw the same.
        slices = mesh_impl.slicewise(draw, mesh_impl.laid_out_slice_num(shape))
        lowering.set_tensor_lowering(operation.outputs[0], slices)
        return None

    return lower


def _run_key():
    """An int64 scalar: the step and, inside loops, their iterations."""
    key = tf.cast(_step_key(), tf.int64)
    for counter in _loop_counters:
        key = key * 65537 + tf.cast(counter, tf.int64) + 1
    return key


def inside_loop() -> bool:
    """Whether the body of a loop is being lowered."""
    return bool(_loop_counters)


def before_loop_ends(function):
    """Registers a function of (lowering, the body's first output), called when a body is done."""
    _at_loop_end.append(function)


class _LoopMark:
    """A pseudo operation at the border of a loop's body: it tells draws which iteration it is."""

    def __init__(self, loop, opens):
        self.name = "random_key"
        self._loop = loop
        self._opens = opens

    def lower(self, lowering):
        if self._opens:
            counter = lowering.tensors[self._loop._body_inputs[0]]
            _loop_counters.append(counter.to_laid_out_tensor().tensor_list[0])
        else:
            _loop_counters.pop()
            for function in _at_loop_end:
                function(lowering, self._loop._body_outputs[0])


def _counted_loop_init(stock_init):
    """Marks the loops whose first variable is an integer scalar: microbatch number, position."""

    @functools.wraps(stock_init)
    def init(loop, *args, **kwargs):
        stock_init(loop, *args, **kwargs)
        first = loop.inputs[0]
        if first.dtype.is_integer and not first.shape.dims:
            loop._body_ops.insert(0, _LoopMark(loop, opens=True))
            loop._body_ops.append(_LoopMark(loop, opens=False))

    return init


def _seeded_variable_init(stock_init):
    """Gives a random initializer that has no seed one from (run seed, variable name)."""

    @functools.wraps(stock_init)
    def init(variable, mesh, name, shape, dtype, initializer, *args, **kwargs):
        if _restored[-1] and hasattr(initializer, "seed"):
            initializer = tf.zeros_initializer()
        elif getattr(initializer, "seed", 0) is None:
            initializer = copy.copy(initializer)
            full_name = "/".join(filter(None, [tf.get_variable_scope().name, name]))
            initializer.seed = stable_hash(run_seed(), full_name)
        return stock_init(variable, mesh, name, shape, dtype, initializer, *args, **kwargs)

    return init
