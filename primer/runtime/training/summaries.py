"""TensorBoard events of training, with the Estimator's tags.

Mesh-TF's `scalar_summary` values (router statistics and others) go there too; stock Mesh-TF drops
them without a TPU.
"""

import time

import tensorflow.compat.v1 as tf
from mesh_tensorflow import utils as mtf_utils

from primer.runtime.patches import loop_summaries

EVERY = 100


class Summaries:
    """Writes events at the first step of a run, then every `EVERY` steps, and at its last.

    Args:
        model_dir: where the events go.
        goal: the last step.
    """

    def __init__(self, model_dir, goal):
        self._goal = goal
        self._writer = tf.summary.FileWriterCache.get(model_dir)
        self._merged = tf.summary.merge_all()
        self._scalars = _mesh_scalars()
        self._loop_means, self._loop_reset = loop_summaries.means()
        self._since = None

    def fetches(self):
        """What to fetch with every step.

        The same always: TensorFlow prepares a graph anew, seconds long, for each new set of
        fetches, and a few scalars more cost a step nothing.
        """
        merged = {} if self._merged is None else {"merged": self._merged}
        return {**merged, "scalars": self._scalars}

    def write(self, sess, step, loss, values, batch_size):
        """Writes what was fetched, the loss, and the speed since the last event, if one is due."""
        if self._since and step % EVERY and step != self._goal:
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
        before, self._since = self._since, (step, now)
        if before is None:
            return {}
        rate = (step - before[0]) / max(now - before[1], 1e-9)
        return {"global_step/sec": rate, "examples/sec": rate * batch_size}

    def close(self):
        """Flushes the events; the cached writer stays usable for a next run in this process."""
        self._writer.flush()


def _mesh_scalars():
    """Mesh-TF's scalars outside loops; `loop_scalars` has those inside."""
    collected = tf.get_collection(mtf_utils.SCALAR_SUMMARIES_COLLECTION_KEY)
    return {name: tf.cast(tensor, tf.float32) for name, tensor in collected}
