"""Writes the checkpoints of training, each with the position of the input pipeline.

A save stops training as long as it takes to write the position of the input and to take the
model's values (`snapshot`); a thread writes these while training goes on. At most one save is under
way: the next one waits for it, and so do a validation and the end of training.

The order of writing makes a kill at any instant harmless: first the record of the input, then its
position (`input_position`), then the model's files under temporary names, then their names, of
which the index is the last, at last the file `checkpoint` that names the newest. Obsolete files are
deleted after that.
"""

import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, retention
from primer.common import console, files
from primer.errors import RunError
from primer.gin_config.values import bound
from primer.runtime import cluster
from primer.runtime.training.saving.background import Background
from primer.runtime.training.saving.input_position import InputPosition
from primer.runtime.training.saving.snapshot import Snapshot

MODEL = "model.ckpt"
# Mesh-TF's listener that copies the slices on the mesh to the masters of variables.
COPYING_LISTENER = "MtfCheckpointSaverListener"
DIVERGENCE_HINT = (
    "Try a lower learning rate, a longer warm-up, or precision.activation_dtype = 'float32', and "
    "start the same command again"
)


class CheckpointWriter:
    """Writes checkpoints in the background.

    Attributes:
        model_dir: the directory of the checkpoints.
        position: saves and restores the position of the input.
        listeners: tf.train.CheckpointSaverListeners, called before and after each checkpoint.
        last_step: the step of the last checkpoint that this writer has written, or None.
        last_path: the path of the newest complete checkpoint, or None.
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
        """Adds the operations that save and check the variables to the graph.

        Args:
            model_dir: the directory of the checkpoints.
            saver: the tf.train.Saver that Mesh-TF's model function made; it has the number of
                checkpoints to keep, and makes the meta graph.
            listeners: listeners besides Mesh-TF's.
            every: steps between two checkpoints, or None for none in between.
            iterator, input_record: as for `InputPosition`.
        """
        self.model_dir = model_dir
        self.listeners = list(listeners)
        self.last_step: int | None = None
        self.last_path: str | None = None
        self.position = InputPosition(model_dir, iterator, input_record)
        self._saver = saver
        self._every = every
        settings = saver.saver_def
        self._retention = retention.Retention(
            model_dir, settings.max_to_keep, settings.keep_checkpoint_every_n_hours
        )
        self._graph_writer: threading.Thread | None = None
        self._snapshot = Snapshot(tf.global_variables())
        self._meta_graph: bytes | None = None
        self._writing = Background()
        self._under_way: tuple[tf.Session, int] | None = None

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
                own = [one for one in hook._listeners if type(one).__name__ != COPYING_LISTENER]
                for listener in own:
                    listener.begin()
                return cls(model_dir, hook._saver, own, every, iterator, input_record)
        raise RunError("Mesh-TensorFlow's model function returned no CheckpointSaverHook")

    def open(self, sess: tf.Session) -> None:
        """Finds the latest checkpoint, and starts writing `graph.pbtxt`.

        A thread writes the graph during the first step.
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
            # str() is C++: a tenth of the time of text_format, which tf.io.write_graph calls.
            text = str(graph.as_graph_def(add_shapes=True))
            files.write_whole(os.path.join(self.model_dir, "graph.pbtxt"), text)
        except files.ERRORS as error:
            reason = files.first_line(error)
            console.say(f"{self.model_dir}/graph.pbtxt cannot be written ({reason})")

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint is to be written at this step."""
        return bool(self._every and step % self._every == 0)

    def save(self, sess: tf.Session, step: int) -> None:
        """Writes the checkpoint of a step, unless it was started before, and waits for it.

        Raises:
            RunError: as `start` and `wait`.
        """
        self.start(sess, step)
        self.wait()

    def start(self, sess: tf.Session, step: int) -> None:
        """Starts to write the checkpoint of a step, unless it is the last one that was started.

        It waits for the save before; training may go on when this returns.

        Raises:
            RunError: as `wait`, or the position of the input cannot be written.
        """
        if step == self.last_step or (self._under_way and step == self._under_way[1]):
            return
        self.wait()
        for listener in self.listeners:
            listener.before_save(sess, step)
        with self._errors_of_files(step):
            self.position.save(sess, step)
        self._snapshot.take(sess)
        self._under_way = sess, step
        self._writing.start(lambda: self._write(sess, step))

    def _write(self, sess, step):
        """Writes the model's files, in the thread."""
        self._check_finite(sess, step)
        path = os.path.join(self.model_dir, f"{MODEL}-{step}")
        with self._errors_of_files(step):
            self._snapshot.write(sess, path)
            self._snapshot.forget(sess)
            files.write_whole(f"{path}.meta", self._meta_graph_of(sess))
            self._retention.add(path)
            self.position.delete_obsolete(MODEL)

    def _meta_graph_of(self, sess):
        """Returns the meta graph that TensorFlow's Saver writes; it is the same at every step."""
        if self._meta_graph is None:
            with sess.graph.as_default():
                self._meta_graph = self._saver.export_meta_graph().SerializeToString()
        return self._meta_graph

    @property
    def is_saving(self) -> bool:
        """Whether a save is under way, with a copy of the values in memory."""
        return self._under_way is not None

    def poll(self) -> None:
        """Completes a save that has ended; raises as `wait`."""
        if self._writing.has_ended():
            self.wait()

    def wait(self) -> None:
        """Waits for the save that is under way, if there is one.

        Raises:
            RunError: a weight or a variable of the optimizer is not finite, or the files could not
                be written.
        """
        if self._under_way is None:
            return
        (sess, step), self._under_way = self._under_way, None
        self._writing.wait()
        self.last_path, self.last_step = os.path.join(self.model_dir, f"{MODEL}-{step}"), step
        for listener in self.listeners:
            listener.after_save(sess, step)

    @contextlib.contextmanager
    def _errors_of_files(self, step):
        """Raises RunError for an error of TensorFlow, but for that of a lost host."""
        try:
            yield
        except cluster.LOST_HOST_ERRORS:  # `cluster` explains them.
            raise
        except tf.errors.OpError as error:
            reason = checkpoint_files.reason_of(error)
            raise RunError(
                f"the checkpoint of step {step} cannot be written to {self.model_dir} ({reason}); "
                f"the last complete one is {self.last_path or 'none'}"
            ) from error

    def _check_finite(self, sess, step):
        """Raises RunError: an update can spoil variables although its loss was still finite."""
        name = self._snapshot.first_not_finite(sess)
        if name is None:
            return
        self.position.delete_obsolete(MODEL)
        if self.last_path is None:
            raise RunError(f"{name} is NaN or infinite before the first step: {_initial_values()}")
        raise RunError(
            f"{name} is NaN or infinite after step {step}, which is not saved; the last good "
            f"checkpoint is {self.last_path}. {DIVERGENCE_HINT}"
        )


def _initial_values():
    """Returns what to do about initial values that are not finite."""
    path = bound("utils.run.init_checkpoint")
    if path:
        return f"utils.run.init_checkpoint = {path!r} is not to be trained on; name another one"
    return "check the initializers of the model's layers"
