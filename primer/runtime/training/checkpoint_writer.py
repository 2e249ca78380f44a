"""Writes the checkpoints of training, each with the position of the input pipeline.

The order of writing makes a kill at any instant harmless: first the record of the input
(`primer.runtime.training.input_record`), then its position, then the model's files (TensorFlow
writes them under temporary names and renames them), last the file `checkpoint` that names the
newest. Obsolete files are deleted after that.
"""

import os
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, finite_values, pattern_free, retention
from primer.common import console, files
from primer.errors import RunError, UsageError
from primer.gin_config.values import bound
from primer.runtime.training import input_record

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
        input_record: Mapping[str, Any] | None = None,
    ) -> None:
        """Adds the operations that save the input position and check the variables to the graph.

        Args:
            model_dir: the directory of the checkpoints.
            saver: the tf.train.Saver that Mesh-TF's model function made.
            listeners: its listeners; the first copies the slices on the mesh to the saved
                variables.
            every: steps between two checkpoints, or None for none in between.
            iterator: the iterator of the input pipeline, or None where its position is not saved.
            input_record: what makes the input, as `input_record.describe`; saved positions belong
                to it.
        """
        self.model_dir = model_dir
        self.listeners = list(listeners)
        self.last_step: int | None = None
        self.last_path: str | None = None
        self._saver = saver
        self._every = every
        self._iterator = iterator
        self._input_record = input_record or {}
        self._input_saver = _input_saver(iterator)
        settings = saver.saver_def
        self._retention = retention.Retention(
            model_dir, settings.max_to_keep, settings.keep_checkpoint_every_n_hours
        )
        self._graph_writer: threading.Thread | None = None
        # In the graph: copying all values to this process at every checkpoint would be slow.
        self._checked = finite_values.floating(tf.global_variables())
        self._are_finite = tf.stack([tf.reduce_all(tf.is_finite(v)) for v in self._checked])

    @classmethod
    def from_hooks(
        cls,
        model_dir: str,
        hooks: Sequence[tf.train.SessionRunHook],
        every: int | None,
        iterator: Any = None,
        input_record: Mapping[str, Any] | None = None,
    ) -> "CheckpointWriter":
        """Makes a writer with saver and listeners of Mesh-TF's CheckpointSaverHook.

        Args:
            model_dir, every, iterator, input_record: as for the constructor.
            hooks: the training hooks of the spec of Mesh-TF's model function.

        Raises:
            RunError: there is no CheckpointSaverHook.
        """
        for hook in hooks:
            if isinstance(hook, tf.train.CheckpointSaverHook):
                for listener in hook._listeners:
                    listener.begin()
                return cls(model_dir, hook._saver, hook._listeners, every, iterator, input_record)
        raise RunError("Mesh-TensorFlow's model function returned no CheckpointSaverHook")

    def open(self, sess: tf.Session) -> None:
        """Finds the latest checkpoint, and starts writing `graph.pbtxt`.

        Writing the graph takes a second or more; a thread does it during the first step.
        """
        tf.io.gfile.makedirs(self.model_dir)
        self._graph_writer = threading.Thread(target=self._write_graph, args=(sess.graph,))
        self._graph_writer.start()
        # Not the one that the file `checkpoint` names: its files may have been deleted.
        self.last_path = checkpoint_files.latest_checkpoint(self.model_dir)

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
            RunError: a weight or a variable of the optimizer is not finite, or the files cannot
                be written.
        """
        if self.last_step == step:
            return
        for listener in self.listeners:
            listener.before_save(sess, step)
        self._check_finite(sess, step)
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

    def _check_finite(self, sess, step):
        """Raises RunError: an update can spoil variables although its loss was still finite."""
        are_finite = sess.run(self._are_finite)
        if are_finite.all():
            return
        name = self._checked[int(np.argmin(are_finite))].op.name
        if self.last_path is None:
            raise RunError(f"{name} is NaN or infinite before the first step: {_initial_values()}")
        raise RunError(
            f"{name} is NaN or infinite after step {step}, which is not saved; the last good "
            f"checkpoint is {self.last_path}. {DIVERGENCE_HINT}"
        )

    def _save_input_position(self, sess, step):
        if self._input_saver is None:
            return
        path = self._input_path(step)
        # A run that was stopped while it wrote this step may have left the position of other data.
        if tf.io.gfile.exists(f"{path}.index"):
            tf.io.gfile.remove(f"{path}.index")
        files.write_json(f"{path}.json", self._input_record)
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

    def restore_input_position(self, sess: tf.Session, step: int) -> bool:
        """Restores the input position of a step if it is one of this run's input.

        Otherwise it prints a line with the reason, and the data are read from the start: TensorFlow
        would continue the saved pipeline, whatever the settings name now.

        Returns:
            Whether it was restored.
        """
        obstacle = self._restore_obstacle(step)
        if obstacle is None:
            try:
                self._input_saver.restore(sess, pattern_free.readable(self._input_path(step)))
                return True
            except (tf.errors.OpError, ValueError) as error:
                obstacle = (
                    f"The input position of step {step} cannot be restored ({_first_line(error)})"
                )
                # It may be restored in part.
                sess.run(self._iterator.initializer)
        console.say(f"{obstacle}: reading from the start.")
        return False

    def _restore_obstacle(self, step):
        """Returns why the input position of a step must not be restored, or None."""
        path = self._input_path(step)
        if self._input_saver is None or not tf.io.gfile.exists(path + ".index"):
            return f"No input position was saved at step {step}"
        try:
            before = files.read_json(f"{path}.json", "its input is not known")
        except UsageError as error:
            return str(error)
        if before is None:
            return f"The input position of step {step} has no record of its input ({path}.json)"
        difference = input_record.difference(before, self._input_record)
        return f"The input is not that of step {step} ({difference})" if difference else None

    def _input_path(self, step):
        return os.path.join(self.model_dir, f"{INPUT}-{step}")

    def _delete_obsolete_positions(self):
        """Deletes the input positions of steps whose model files were deleted."""
        for path in files.matching_files(self.model_dir, rf"{re.escape(INPUT)}-\d+\..+"):
            step = os.path.basename(path).removeprefix(f"{INPUT}-").split(".")[0]
            if not checkpoint_files.has_index(os.path.join(self.model_dir, f"{MODEL}-{step}")):
                tf.io.gfile.remove(path)


def _initial_values():
    """Returns what to do about initial values that are not finite."""
    path = bound("utils.run.init_checkpoint")
    if path:
        return f"utils.run.init_checkpoint = {path!r} is not to be trained on; name another one"
    return "check the initializers of the model's layers"


def _input_saver(iterator):
    if iterator is None:
        return None
    saveable = tf.data.experimental.make_saveable_from_iterator(iterator, "warn")
    return tf.train.Saver([saveable], max_to_keep=None)


def _first_line(error):
    return str(error).strip().splitlines()[0]
