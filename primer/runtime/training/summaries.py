"""TensorBoard events of training, with the Estimator's tags.

They include the values of Mesh-TF's `scalar_summary`, such as router statistics; stock Mesh-TF
drops these without a TPU.
"""

import time
from typing import Any

import tensorflow.compat.v1 as tf
from mesh_tensorflow import utils as mtf_utils

from primer.runtime.patches import loop_summaries

EVERY = 100


class Summaries:
    """Writes events at the first step of a run, at every multiple of EVERY and at the last step."""

    def __init__(self, model_dir: str, goal: int) -> None:
        """Collects the summaries of the default graph.

        Args:
            model_dir: the directory of the events.
            goal: the last step.
        """
        self._goal = goal
        self._writer = tf.summary.FileWriterCache.get(model_dir)
        self._merged = tf.summary.merge_all()
        self._scalars = _mesh_scalars()
        self._loop_means, self._loop_reset = loop_summaries.means()
        self._last_written: tuple[int, float] | None = None  # (step, seconds)

    def fetches(self) -> dict[str, Any]:
        """Returns what to fetch at every step.

        The set is constant: TensorFlow prunes and places the graph again for each new set of
        fetches, which takes seconds, whereas fetching a few more scalars has no measurable cost.
        """
        merged = {} if self._merged is None else {"merged": self._merged}
        return {**merged, "scalars": self._scalars}

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
        if self._last_written and step % EVERY and step != self._goal:
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


def _mesh_scalars():
    """Returns Mesh-TF's scalars outside loops; `loop_summaries` has those inside."""
    collected = tf.get_collection(mtf_utils.SCALAR_SUMMARIES_COLLECTION_KEY)
    return {name: tf.cast(tensor, tf.float32) for name, tensor in collected}
