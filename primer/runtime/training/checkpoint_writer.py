"""Writing checkpoints: when, in which order, and the position of the input pipeline with them.

Order makes a kill at any instant harmless: first the input position of the step, then the
model's files (TensorFlow writes them under temporary names and renames them), last the file
`checkpoint` that names the newest; files that are not needed any more go after that.
"""

import os
import re
import threading

import tensorflow.compat.v1 as tf

from primer.common import console
from primer.errors import RunError
from primer.runtime import inputs

MODEL = "model.ckpt"
INPUT = "input.ckpt"
TRY = (
    "Try a lower learning rate, a longer warm-up, or precision.activation_dtype = 'float32', and "
    "start the same command again"
)


class Saver:
    """Saves the model with Mesh-TF's own saver and listeners.

    Args:
        model_dir: where.
        saver: the tf.train.Saver that Mesh-TF's model function made.
        listeners: its listeners; the first copies the slices on the mesh to the saved variables.
        every: steps between two checkpoints.
    """

    def __init__(self, model_dir, saver, listeners, every):
        self.model_dir = model_dir
        self.listeners = list(listeners)
        self.last_step = None
        self.last_path = None
        self._saver = saver
        self._every = every
        self._input_saver = _input_saver()
        self._graph_writer = None
        weights = [v for v in tf.trainable_variables() if v.dtype.base_dtype.is_floating]
        self._finite = tf.reduce_all([tf.reduce_all(tf.is_finite(v)) for v in weights])

    @classmethod
    def from_hooks(cls, model_dir, hooks, every):
        """Takes saver and listeners from the CheckpointSaverHook of Mesh-TF's model function."""
        for hook in hooks:
            if isinstance(hook, tf.train.CheckpointSaverHook):
                for listener in hook._listeners:
                    listener.begin()
                return cls(model_dir, hook._saver, hook._listeners, every)
        raise RunError("Mesh-TensorFlow's model function gave no CheckpointSaverHook")

    def open(self, sess):
        """Takes over the checkpoints that are there already, and lets `graph.pbtxt` be written.

        That takes a second or more and nobody waits for it: it is done beside the first step.
        """
        tf.io.gfile.makedirs(self.model_dir)
        self._graph_writer = threading.Thread(target=self._write_graph, args=(sess.graph,))
        self._graph_writer.start()
        state = tf.train.get_checkpoint_state(self.model_dir)
        if state:
            self.last_path = state.model_checkpoint_path
            self._saver.recover_last_checkpoints(state.all_model_checkpoint_paths)

    def close(self):
        """Waits for what is still being written."""
        self._graph_writer.join()

    def _write_graph(self, graph):
        try:
            definition = graph.as_graph_def(add_shapes=True)
            tf.io.write_graph(definition, self.model_dir, "graph.pbtxt")
        except tf.errors.OpError as error:
            console.say(f"{self.model_dir}/graph.pbtxt cannot be written ({_first_line(error)})")

    def is_due(self, step) -> bool:
        """Whether a checkpoint belongs to this step."""
        return bool(self._every) and step % self._every == 0

    def save(self, sess, step):
        """Writes the checkpoint of a step, whole or not at all."""
        if self.last_step == step:
            return
        for listener in self.listeners:
            listener.before_save(sess, step)
        self._check_weights(sess, step)
        try:
            self._save_input_position(sess, step)
            self.last_path = self._saver.save(
                sess, os.path.join(self.model_dir, MODEL), global_step=step
            )
        except tf.errors.OpError as error:
            raise RunError(
                f"the checkpoint of step {step} cannot be written to {self.model_dir} "
                f"({_first_line(error)}); the last whole one is {self.last_path or 'none'}"
            ) from error
        self.last_step = step
        for listener in self.listeners:
            listener.after_save(sess, step)
        self._forget_old_positions()

    def _check_weights(self, sess, step):
        """An update can spoil weights whose loss was still good; such a step is not kept."""
        if not sess.run(self._finite):
            raise RunError(
                f"weights are NaN or infinite after step {step}, which is not saved; the last good "
                f"checkpoint is {self.last_path or 'none'}. {TRY}"
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
                "run starts reading anew."
            )
            self._input_saver = None

    def restore_input_position(self, sess, step):
        """Lets the input go on where the checkpoint of the step left it."""
        path = os.path.join(self.model_dir, f"{INPUT}-{step}")
        if self._input_saver is None or not tf.io.gfile.exists(path + ".index"):
            console.say(f"No input position was saved at step {step}: reading starts anew.")
            return
        try:
            self._input_saver.restore(sess, path)
        except (tf.errors.OpError, ValueError) as error:
            console.say(
                f"The input position of step {step} does not fit this input pipeline "
                f"({_first_line(error)}): reading starts anew."
            )

    def _forget_old_positions(self):
        """Deletes the positions of steps whose model is gone."""
        for name in tf.io.gfile.glob(os.path.join(self.model_dir, f"{INPUT}-*")):
            step = re.search(rf"{INPUT}-(\d+)\.", name)
            model = os.path.join(self.model_dir, f"{MODEL}-{step.group(1)}.index") if step else ""
            if model and not tf.io.gfile.exists(model):
                tf.io.gfile.remove(name)


def _input_saver():
    saveables = [
        tf.data.experimental.make_saveable_from_iterator(iterator, "warn")
        for iterator in inputs.iterators()
    ]
    return tf.train.Saver(saveables, max_to_keep=None) if saveables else None


def _first_line(error):
    return str(error).strip().splitlines()[0]
