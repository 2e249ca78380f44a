"""The position of the input pipeline at a checkpoint, with the record of its input.

The first host reads all rows of every batch, so the position does not depend on the mesh or on the
number of hosts.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, pattern_free
from primer.common import console, files
from primer.errors import UsageError
from primer.runtime.training import input_record

INPUT = "input.ckpt"


class InputPosition:
    """Saves and restores the position of an iterator.

    Args:
        model_dir: the directory of the checkpoints.
        iterator: the iterator of the input pipeline, or None where its position is not saved.
        record: what makes the input, as `input_record.describe`; saved positions belong to it.
    """

    def __init__(self, model_dir: str, iterator: Any, record: Mapping[str, Any] | None) -> None:
        self._model_dir = model_dir
        self._iterator = iterator
        self._record = record or {}
        self._saver = _saver(iterator)

    def save(self, sess: tf.Session, step: int) -> None:
        """Writes the position of a step; its record first.

        Raises:
            tf.errors.OpError: the files cannot be written.
        """
        if self._saver is None:
            return
        path = self._path(step)
        # A run that was stopped while it wrote this step may have left the position of other data.
        if tf.io.gfile.exists(f"{path}.index"):
            tf.io.gfile.remove(f"{path}.index")
        files.write_json(f"{path}.json", self._record)
        try:
            self._saver.save(
                sess,
                os.path.join(self._model_dir, INPUT),
                global_step=step,
                write_meta_graph=False,
                write_state=False,
            )
        except (tf.errors.FailedPreconditionError, tf.errors.UnimplementedError) as error:
            console.say(
                f"The input pipeline cannot save its position ({files.first_line(error)}); a "
                "resumed run reads the data from the start."
            )
            self._saver = None

    def restore(self, sess: tf.Session, step: int) -> bool:
        """Restores the position of a step if it is one of this run's input.

        Otherwise it prints a line with the reason, and the data are read from the start: TensorFlow
        would continue the saved pipeline, whatever the settings name now.

        Returns:
            Whether it was restored.
        """
        obstacle = self._obstacle(step)
        if obstacle is None:
            try:
                self._saver.restore(sess, pattern_free.readable(self._path(step)))
                return True
            except (tf.errors.OpError, ValueError) as error:
                reason = files.first_line(error)
                obstacle = f"The input position of step {step} cannot be restored ({reason})"
                # It may be restored in part.
                sess.run(self._iterator.initializer)
        console.say(f"{obstacle}: reading from the start.")
        return False

    def _obstacle(self, step):
        """Returns why the position of a step must not be restored, or None."""
        path = self._path(step)
        if self._saver is None or not tf.io.gfile.exists(path + ".index"):
            return f"No input position was saved at step {step}"
        try:
            before = files.read_json(f"{path}.json", "its input is not known")
        except UsageError as error:
            return str(error)
        if before is None:
            return f"The input position of step {step} has no record of its input ({path}.json)"
        difference = input_record.difference(before, self._record)
        return f"The input is not that of step {step} ({difference})" if difference else None

    def _path(self, step):
        return os.path.join(self._model_dir, f"{INPUT}-{step}")

    def delete_obsolete(self, model: str) -> None:
        """Deletes the positions of steps that have no checkpoint.

        Args:
            model: the name of the model's checkpoints.
        """
        for path in files.matching_files(self._model_dir, rf"{re.escape(INPUT)}-\d+\..+"):
            step = os.path.basename(path).removeprefix(f"{INPUT}-").split(".")[0]
            if not checkpoint_files.has_index(os.path.join(self._model_dir, f"{model}-{step}")):
                tf.io.gfile.remove(path)


def _saver(iterator):
    if iterator is None:
        return None
    saveable = tf.data.experimental.make_saveable_from_iterator(iterator, "warn")
    return tf.train.Saver([saveable], max_to_keep=None)
