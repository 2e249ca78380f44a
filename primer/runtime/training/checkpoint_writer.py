"""Writes the checkpoints of training, each with the position of the input pipeline.

The order of writing makes a kill at any instant harmless: first the input position of the step,
then the model's files (TensorFlow writes them under temporary names and renames them), last the
file `checkpoint` that names the newest. Obsolete files are deleted after that.
"""

import os
import re
import threading
from collections.abc import Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, pattern_free, retention
from primer.common import console, files
from primer.errors import RunError

MODEL = "model.ckpt"
INPUT = "input.ckpt"
DIVERGENCE_HINT = (
    "Try a lower learning rate, a longer warm-up, or precision.activation_dtype = 'float32', and "
    "start the same command again"
)


class CheckpointWriter:
    """Writes checkpoints with Mesh-TF's own saver and listeners.

    Attributes:
        model_dir: the directory of the checkpoints.
        listeners: tf.train.CheckpointSaverListeners, called before and after each checkpoint.
        last_step: the step of the last checkpoint that this writer wrote, or None.
        last_path: the path of the newest checkpoint, or None.
    """

    def __init__(
        self,
        model_dir: str,
        saver: tf.train.Saver,
        listeners: Sequence[tf.train.CheckpointSaverListener],
        every: int | None,
        iterator: Any = None,
    ) -> None:
        """Adds the operations that save the input position and check the weights to the graph.

        Args:
            model_dir: the directory of the checkpoints.
            saver: the tf.train.Saver that Mesh-TF's model function made.
            listeners: its listeners; the first copies the slices on the mesh to the saved
                variables.
            every: steps between two checkpoints, or None for none in between.
            iterator: the iterator of the input pipeline, or None where its position is not saved.
        """
        self.model_dir = model_dir
        self.listeners = list(listeners)
        self.last_step: int | None = None
        self.last_path: str | None = None
        self._saver = saver
        self._every = every
        self._input_saver = _input_saver(iterator)
        settings = saver.saver_def
        self._retention = retention.Retention(
            model_dir, settings.max_to_keep, settings.keep_checkpoint_every_n_hours
        )
        self._graph_writer: threading.Thread | None = None
        weights = [v for v in tf.trainable_variables() if v.dtype.base_dtype.is_floating]
        self._finite = tf.reduce_all([tf.reduce_all(tf.is_finite(v)) for v in weights])

    @classmethod
    def from_hooks(
        cls,
        model_dir: str,
        hooks: Sequence[tf.train.SessionRunHook],
        every: int | None,
        iterator: Any = None,
    ) -> "CheckpointWriter":
        """Makes a writer with saver and listeners of Mesh-TF's CheckpointSaverHook.

        Args:
            model_dir, every, iterator: as for the constructor.
            hooks: the training hooks of the spec of Mesh-TF's model function.

        Raises:
            RunError: there is no CheckpointSaverHook.
        """
        for hook in hooks:
            if isinstance(hook, tf.train.CheckpointSaverHook):
                for listener in hook._listeners:
                    listener.begin()
                return cls(model_dir, hook._saver, hook._listeners, every, iterator)
        raise RunError("Mesh-TensorFlow's model function returned no CheckpointSaverHook")

    def open(self, sess: tf.Session) -> None:
        """Finds the latest checkpoint, and starts writing `graph.pbtxt`.

        Writing the graph takes a second or more; a thread does it during the first step.
        """
        tf.io.gfile.makedirs(self.model_dir)
        self._graph_writer = threading.Thread(target=self._write_graph, args=(sess.graph,))
        self._graph_writer.start()
        self.last_path = checkpoint_files.named_checkpoint(self.model_dir)

    def close(self) -> None:
        """Waits until `graph.pbtxt` is written."""
        if self._graph_writer is not None:
            self._graph_writer.join()

    def _write_graph(self, graph):
        try:
            definition = graph.as_graph_def(add_shapes=True)
            tf.io.write_graph(definition, self.model_dir, "graph.pbtxt")
        except tf.errors.OpError as error:
            console.say(f"{self.model_dir}/graph.pbtxt cannot be written ({_first_line(error)})")

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint is to be written at this step."""
        return bool(self._every and step % self._every == 0)

    def save(self, sess: tf.Session, step: int) -> None:
        """Writes the checkpoint of a step, unless it is the last one written.

        Raises:
            RunError: the weights are not finite, or the files cannot be written.
        """
        if self.last_step == step:
            return
        for listener in self.listeners:
            listener.before_save(sess, step)
        self._check_weights_are_finite(sess, step)
        try:
            self._save_input_position(sess, step)
            path = self._saver.save(
                sess, os.path.join(self.model_dir, MODEL), global_step=step, write_state=False
            )
            self._retention.add(path)
        except tf.errors.OpError as error:
            raise RunError(
                f"the checkpoint of step {step} cannot be written to {self.model_dir} "
                f"({_first_line(error)}); the last complete one is {self.last_path or 'none'}"
            ) from error
        self.last_path, self.last_step = path, step
        for listener in self.listeners:
            listener.after_save(sess, step)
        self._delete_obsolete_positions()

    def _check_weights_are_finite(self, sess, step):
        """Raises RunError: an update can make weights infinite whose loss was still finite."""
        if not sess.run(self._finite):
            raise RunError(
                f"weights are NaN or infinite after step {step}, which is not saved; the last good "
                f"checkpoint is {self.last_path or 'none'}. {DIVERGENCE_HINT}"
            )

    def _save_input_position(self, sess, step):
        if self._input_saver is None:
            return
        try:
            self._input_saver.save(
                sess,
                os.path.join(self.model_dir, INPUT),
                global_step=step,
                write_meta_graph=False,
                write_state=False,
            )
        except (tf.errors.FailedPreconditionError, tf.errors.UnimplementedError) as error:
            console.say(
                f"The input pipeline cannot save its position ({_first_line(error)}); a resumed "
                "run reads the data from the start."
            )
            self._input_saver = None

    def restore_input_position(self, sess: tf.Session, step: int) -> None:
        """Restores the input position of a step; prints a line where there is none that fits."""
        path = os.path.join(self.model_dir, f"{INPUT}-{step}")
        if self._input_saver is None or not tf.io.gfile.exists(path + ".index"):
            console.say(f"No input position was saved at step {step}: reading from the start.")
            return
        try:
            self._input_saver.restore(sess, pattern_free.readable(path))
        except (tf.errors.OpError, ValueError) as error:
            console.say(
                f"The input position of step {step} does not fit this input pipeline "
                f"({_first_line(error)}): reading from the start."
            )

    def _delete_obsolete_positions(self):
        """Deletes the input positions of steps whose model files were deleted."""
        for path in files.matching_files(self.model_dir, rf"{re.escape(INPUT)}-\d+\..+"):
            step = os.path.basename(path).removeprefix(f"{INPUT}-").split(".")[0]
            if not checkpoint_files.has_index(os.path.join(self.model_dir, f"{MODEL}-{step}")):
                tf.io.gfile.remove(path)


def _input_saver(iterator):
    if iterator is None:
        return None
    saveable = tf.data.experimental.make_saveable_from_iterator(iterator, "warn")
    return tf.train.Saver([saveable], max_to_keep=None)


def _first_line(error):
    return str(error).strip().splitlines()[0]
