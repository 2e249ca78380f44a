"""Evaluates many checkpoints with one graph and one session, and reads every batch once.

Mesh-TF's loop calls `estimator.evaluate` once per checkpoint, and a stock Estimator builds the
model and the input pipeline for each call. Neither depends on the checkpoint: here later
checkpoints reuse the graph, the session and the batches of the first.

The numbers are those of Mesh-TF's own model function and its own streaming metrics.
"""

import contextlib
import functools
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from primer.checkpoints import restoring
from primer.common import random_seed
from primer.errors import UsageError
from primer.runtime import inputs, session
from primer.runtime.compilation import program
from primer.runtime.patches import initial_values

# A larger split is read again for each checkpoint.
MAX_CACHED_BYTES = 1 << 30

Batch = dict[str, np.ndarray]


class EvaluationScope:
    """The block of a run in which its estimators keep graphs, sessions and batches.

    Mesh-TF's `utils.run` makes the estimator and calls its `evaluate` without a parameter for such
    a cache. The patches of `utils.run` and `utils.get_estimator` therefore share this object.
    """

    def __init__(self) -> None:
        self._estimators: contextlib.ExitStack | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Opens the block; its end closes the sessions of all estimators that were added."""
        outer = self._estimators
        with contextlib.ExitStack() as self._estimators:
            try:
                yield
            finally:
                self._estimators = outer

    def add(self, estimator: Any) -> None:
        """Lets a LocalEstimator cache its evaluations until the block ends; ignores others."""
        if self._estimators is not None and hasattr(estimator, "cached_evaluations"):
            self._estimators.enter_context(estimator.cached_evaluations())


class Evaluations:
    """The cached graphs and batches of the evaluations of one estimator."""

    def __init__(self, estimator: Any) -> None:
        """Starts with an empty cache.

        Args:
            estimator: a LocalEstimator.
        """
        self._estimator = estimator
        self._graphs: dict[Hashable, _Graph] = {}  # By types and shapes of the features, and hooks.
        self._batches: dict[Hashable, _Batches] = {}  # By input function and number of batches.

    def run(
        self, input_fn: Callable, steps: int | None, path: str, hooks: Sequence = ()
    ) -> dict[str, np.float32]:
        """Returns the metrics of a checkpoint.

        Args:
            input_fn: the function of `params` that makes the data set.
            steps: the number of batches, or None for all.
            path: the checkpoint.
            hooks: further hooks of the session.

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
            raise UsageError("the split has no batch: there is nothing to evaluate")
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

    def close(self) -> None:
        """Closes the sessions."""
        for graph in self._graphs.values():
            graph.close()


def _identity(input_fn: Callable) -> Hashable:
    """Returns equal keys for two partials of one function and arguments, as Mesh-TF makes them."""
    if isinstance(input_fn, functools.partial):
        named = tuple(sorted((name, id(value)) for name, value in input_fn.keywords.items()))
        return input_fn.func, tuple(map(id, input_fn.args)), named
    return input_fn


class _Batches:
    """The batches of an input function, cached after the first reading."""

    def __init__(self, input_fn: Callable, steps: int | None) -> None:
        # The reference also keeps alive the arguments whose ids `_identity` returns.
        self._input_fn = input_fn
        self._steps = steps
        self._cached: list[Batch] | None = None

    def __iter__(self) -> Iterator[Batch]:
        if self._cached is not None:
            yield from self._cached
            return
        batches: list[Batch] = []
        size = 0
        for batch in self._read():
            size += sum(value.nbytes for value in batch.values())
            batches = batches + [batch] if size <= MAX_CACHED_BYTES else []
            yield batch
        if size <= MAX_CACHED_BYTES:
            self._cached = batches

    def _read(self) -> Iterable[Batch]:
        """Reads the batches in a graph of their own, with the seed that an Estimator sets."""
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
    """The evaluation graph of Mesh-TF's model, fed with batches of one shape."""

    def __init__(self, estimator: Any, batch: Batch, hooks: Sequence) -> None:
        with tf.Graph().as_default() as graph:
            self._feeds = {
                name: tf.placeholder(tf.as_dtype(value.dtype), value.shape, name)
                for name, value in batch.items()
            }
            with initial_values.weights_restored():
                spec = estimator.call_model(dict(self._feeds), "eval")
            metric_fn, tensors = spec.eval_metrics
            metrics = dict(metric_fn(*tensors), loss=tf.metrics.mean(spec.loss))
            updates = [update for _, update in metrics.values()]
            self._updates = program.Program(updates, estimator.mesh_devices, "the evaluation")
            self._values = {key: value for key, (value, _) in metrics.items()}
            self._hooks = session.without_copies([*spec.evaluation_hooks, *hooks])
            for hook in self._hooks:
                hook.begin()
            self._restore = restoring.Restore(tf.global_variables())
            self._reset = [tf.local_variables_initializer(), tf.tables_initializer()]
            graph.finalize()
        self._session = tf.Session(graph=graph, config=session.estimator_config(estimator))

    def start(self, path: str) -> None:
        """Restores the weights of a checkpoint and resets the metrics."""
        with self._session.graph.as_default():
            self._restore(self._session, path)
        self._session.run(self._reset)
        for hook in self._hooks:
            hook.after_create_session(self._session, None)

    def add(self, batch: Batch) -> None:
        """Adds a batch to the metrics."""
        feeds = {tensor: batch[name] for name, tensor in self._feeds.items()}
        self._updates.run(self._session.run, feeds)

    def values(self) -> dict[str, np.float32]:
        """Returns the metrics of all batches since `start`."""
        values = self._session.run(self._values)
        return {key: np.float32(value) for key, value in values.items()}

    def close(self) -> None:
        self._session.close()
