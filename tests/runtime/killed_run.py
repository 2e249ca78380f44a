"""A training process that kills itself while it writes a checkpoint.

`python -m tests.runtime.killed_run MODEL_DIR STEP MOMENT [BINDING ...]`

MOMENT is "before" (the input position is written, the model's files are not), "within" (the model's
files are written, and `checkpoint` does not name them yet) or "after" (all files are written).
"""

import os
import signal
import sys

from primer.runtime import import_hook

import_hook.install()

import tensorflow.compat.v1 as tf  # noqa: E402

from primer.checkpoints.retention import Retention  # noqa: E402
from tests.runtime import tiny  # noqa: E402


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def dying_save(stock, fatal_step, moment):
    """Returns a tf.train.Saver.save that kills the process at one step of the model's saver."""

    def save(saver, sess, path, global_step=None, **settings):
        if global_step != fatal_step or not path.endswith("model.ckpt"):
            return stock(saver, sess, path, global_step=global_step, **settings)
        if moment == "before":
            die()
        written = stock(saver, sess, path, global_step=global_step, **settings)
        if moment == "within":
            die()
        return written

    return save


def dying_add(stock, fatal_step):
    """Returns a Retention.add, which names the newest checkpoint, that then kills the process."""

    def add(kept, path):
        stock(kept, path)
        if path.endswith(f"-{fatal_step}"):
            die()

    return add


if __name__ == "__main__":
    model_dir, step, moment, *bindings = sys.argv[1:]
    tf.train.Saver.save = dying_save(tf.train.Saver.save, int(step), moment)
    Retention.add = dying_add(Retention.add, int(step))
    tiny.run(model_dir, *bindings)
