"""Stock evaluation of many checkpoints: one graph, one session, and every batch read once.

Mesh-TF's loop calls `estimator.evaluate` once per checkpoint, and an Estimator builds the model and
the input pipeline anew each time. What is built does not depend on the checkpoint, and what is read
must not: here the second checkpoint finds the graph, the session and the batches of the first.

The numbers are those of Mesh-TF's own model function and its own streaming metrics.
"""

import contextlib

import numpy as np
import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files
from primer.common import random_seed
from primer.errors import UsageError
from primer.runtime import inputs, session
from primer.runtime.patches import initial_values

# A split that is larger than this is read anew for each checkpoint.
KEPT_BYTES = 1 << 30

_kept = []  # Estimator -> Evaluations, of the blocks that are open; innermost last.


@contextlib.contextmanager
def kept():
    """Inside the block, graphs, sessions and batches stay for the checkpoints that follow."""
    _kept.append({})
    try:
        yield
    finally:
        for evaluations in _kept.pop().values():
            evaluations.close()


@contextlib.contextmanager
def evaluations(estimator):
    """The `Evaluations` of an estimator: those that are kept, or new ones for this block."""
    if _kept:
        yield _kept[-1].setdefault(estimator, Evaluations(estimator))
        return
    with contextlib.closing(Evaluations(estimator)) as made:
        yield made


class Evaluations:
    """The graphs and the batches of the evaluations of one estimator.

    Args:
        estimator: a LocalEstimator.
    """

    def __init__(self, estimator):
        self._estimator = estimator
        self._graphs = {}  # Names, types and shapes of the features -> their _Graph.
        self._batches = {}  # What reads them -> _Batches.

    def run(self, input_fn, steps, path, hooks=()) -> dict:
        """The metrics of a checkpoint over `steps` batches of `input_fn`, or all.

        Raises:
            UsageError: there is no batch, or the checkpoint is of another model.
            RunError: the checkpoint cannot be read.
        """
        graph = None
        for batch in self._read(input_fn, steps):
            if graph is None:
                graph = self._graph(batch, hooks)
                graph.start(path)
            graph.add(batch)
        if graph is None:
            raise UsageError("the split gives no batch: there is nothing to evaluate")
        return graph.values()

    def _read(self, input_fn, steps):
        key = (_identity(input_fn), steps)
        return self._batches.setdefault(key, _Batches(input_fn, steps))

    def _graph(self, batch, hooks):
        key = (
            tuple((name, value.dtype.str, value.shape) for name, value in batch.items()),
            tuple(hooks),
        )
        if key not in self._graphs:
            self._graphs[key] = _Graph(self._estimator, batch, hooks)
        return self._graphs[key]

    def close(self):
        """Ends the sessions."""
        for graph in self._graphs.values():
            graph.close()


def _identity(input_fn):
    """Equal for two partial functions of the same function and arguments, as stock makes them."""
    if hasattr(input_fn, "keywords"):
        named = tuple(sorted((name, id(value)) for name, value in input_fn.keywords.items()))
        return input_fn.func, tuple(map(id, input_fn.args)), named
    return input_fn


class _Batches:
    """The batches of an input function, kept once they have been read."""

    def __init__(self, input_fn, steps):
        self._input_fn = input_fn  # Also keeps alive what `_identity` names by its id.
        self._steps = steps
        self._kept = None

    def __iter__(self):
        if self._kept is not None:
            yield from self._kept
            return
        seen, size = [], 0
        for batch in self._fresh():
            size += sum(value.nbytes for value in batch.values())
            seen = seen + [batch] if size <= KEPT_BYTES else []
            yield batch
        if size <= KEPT_BYTES:
            self._kept = seen

    def _fresh(self):
        """Reads the batches, in a graph of their own with the seed that an Estimator gives it."""
        with tf.Graph().as_default():
            tf.set_random_seed(random_seed.run_seed())
            features = inputs.features(self._input_fn)
            with tf.Session() as sess:
                sess.run(tf.tables_initializer())
                number = 0
                while self._steps is None or number < self._steps:
                    try:
                        yield sess.run(features)
                    except tf.errors.OutOfRangeError:
                        return
                    number += 1


class _Graph:
    """Mesh-TF's model for evaluation, fed with batches of one shape."""

    def __init__(self, estimator, batch, hooks):
        with tf.Graph().as_default() as graph:
            self._feeds = {
                name: tf.placeholder(tf.as_dtype(value.dtype), value.shape, name)
                for name, value in batch.items()
            }
            with initial_values.weights_restored():
                spec = estimator.call_model(dict(self._feeds), "eval")
            metric_fn, tensors = spec.eval_metrics
            metrics = dict(metric_fn(*tensors), loss=tf.metrics.mean(spec.loss))
            self._updates = [update for _, update in metrics.values()]
            self._values = {key: value for key, (value, _) in metrics.items()}
            self._hooks = [*spec.evaluation_hooks, *hooks]
            for hook in self._hooks:
                hook.begin()
            self._restore = checkpoint_files.Restore(tf.global_variables())
            self._reset = [tf.local_variables_initializer(), tf.tables_initializer()]
            graph.finalize()
        self._session = tf.Session(graph=graph, config=session.config(estimator))

    def start(self, path):
        """Takes the weights of a checkpoint and sets the metrics to nothing."""
        with self._session.graph.as_default():
            self._restore(self._session, path)
        self._session.run(self._reset)
        for hook in self._hooks:  # Mesh-TF's copies the weights to the slices on the mesh.
            hook.after_create_session(self._session, None)

    def add(self, batch):
        """Counts a batch."""
        feeds = {tensor: batch[name] for name, tensor in self._feeds.items()}
        self._session.run(self._updates, feeds)

    def values(self) -> dict:
        """The metrics of all batches since `start`."""
        values = self._session.run(self._values)
        return {key: np.float32(value) for key, value in values.items()}

    def close(self):
        self._session.close()
