"""TensorBoard events of training, with the Estimator's tags.

They include the learning rate, and the values of Mesh-TF's `scalar_summary`, such as router
statistics and the norms of `primer.optimizers.training_optimizer`; stock Mesh-TF drops these
without a TPU.

A run that resumes behind its last events writes their steps again. Each session therefore begins
with an event that makes TensorBoard drop what was written for its steps before.
"""

import time
from typing import Any

import gin
import tensorflow.compat.v1 as tf
from mesh_tensorflow import utils as mtf_utils

from primer.common import checks, graph_marks
from primer.runtime import session
from primer.runtime.patches import loop_summaries
from primer.runtime.tracking.tracker import Tracking

# The beginning of a run, where the loss changes most, has more events than the rest.
FIRST_STEPS = 1000
EVERY_FIRST = 10
EVERY = 100


@gin.configurable("summaries", module="primer")
def events_every(every: int | None = None) -> int | None:
    """Returns the number of steps between two events of training.

    Args:
        every: a number of steps; None: EVERY_FIRST up to step FIRST_STEPS, then EVERY.

    Raises:
        UsageError: not a positive integer.
    """
    if every is not None:
        checks.whole_number("summaries.every", every)
    return every


class Summaries:
    """Writes events at the first step of a session, at the multiples of `every`, at the last.

    Attributes:
        tracking: gets the numbers of the same steps; set by the owner.
    """

    def __init__(self, model_dir: str, goal: int) -> None:
        """Collects the summaries of the default graph.

        Args:
            model_dir: the directory of the events.
            goal: the last step.
        """
        self.tracking = Tracking()
        self._goal = goal
        self._every = events_every()
        self._scalars = _mesh_scalars()  # Before the writer, which stores the graph.
        self._writer = tf.summary.FileWriterCache.get(model_dir)
        rate = graph_marks.schedule()[0]
        self._merged = tf.summary.merge_all()
        self._rate = None if rate is None else tf.cast(rate, tf.float32)
        self._loop_means, self._loop_reset = loop_summaries.means()
        self._last_written: tuple[int, float] | None = None  # (step, seconds)

    def fetches(self) -> dict[str, Any]:
        """Returns what to fetch at every step.

        The set is constant: TensorFlow prunes and places the graph again for each new set of
        fetches, which takes seconds, whereas fetching a few more scalars has no measurable cost.
        """
        fetched = {"merged": self._merged, "learning_rate": self._rate, "scalars": self._scalars}
        return {key: value for key, value in fetched.items() if value is not None}

    @staticmethod
    def measures(values: dict[str, Any]) -> dict[str, float]:
        """Returns the learning rate and Mesh-TF's scalars of a step, by name.

        Args:
            values: the values of `fetches`.
        """
        rate = {key: values[key] for key in ("learning_rate",) if key in values}
        return {**rate, **values["scalars"]}

    def write(
        self, sess: tf.Session, step: int, loss: float, values: dict[str, Any], batch_size: int
    ) -> None:
        """Writes the events of a step if they are due.

        Args:
            sess: the session of training.
            step: the step that has ended.
            loss: its loss.
            values: the values of `fetches`.
            batch_size: the number of rows in a batch, for the speed since the last events.
        """
        if not self._last_written:
            session.drop_events_from(self._writer, step)
        elif not self._is_due(step):
            return
        if "merged" in values:
            self._writer.add_summary(values["merged"], step)
        scalars = {"loss": loss, **values["scalars"], **self._speed(step, batch_size)}
        if self._loop_means:
            scalars.update(sess.run(self._loop_means))
            sess.run(self._loop_reset)
        summary = tf.Summary()
        for tag, value in scalars.items():
            summary.value.add(tag=tag, simple_value=float(value))
        self._writer.add_summary(summary, step)
        self._writer.flush()
        self.tracking.log(step, {**_merged_scalars(values), **self.measures(values), **scalars})

    def _is_due(self, step):
        every = self._every or (EVERY_FIRST if step <= FIRST_STEPS else EVERY)
        return step % every == 0 or step == self._goal

    def _speed(self, step, batch_size):
        now = time.monotonic()
        before, self._last_written = self._last_written, (step, now)
        if before is None:
            return {}
        rate = (step - before[0]) / max(now - before[1], 1e-9)
        return {"global_step/sec": rate, "examples/sec": rate * batch_size}

    def close(self) -> None:
        """Flushes the events; the cached writer stays open for another run in this process."""
        self._writer.flush()


def _merged_scalars(values):
    """Returns the numbers of `tf.summary.scalar`, which TensorFlow has merged into one record."""
    merged = tf.Summary.FromString(values["merged"]) if "merged" in values else tf.Summary()
    found = (value for value in merged.value if value.WhichOneof("value") == "simple_value")
    return {value.tag: value.simple_value for value in found}


def _mesh_scalars():
    """Returns Mesh-TF's scalars outside loops; `loop_summaries` has those inside.

    Their collection is empty afterwards: TensorFlow warns, wherever it stores the graph, that it
    cannot store pairs.
    """
    collected = tf.get_collection_ref(mtf_utils.SCALAR_SUMMARIES_COLLECTION_KEY)
    scalars = {name: tf.cast(tensor, tf.float32) for name, tensor in collected}
    collected.clear()
    return scalars
