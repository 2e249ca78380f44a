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
        state = {"write_state": False} if moment == "within" else {}
        stock(saver, sess, path, global_step=global_step, **{**settings, **state})
        return die()

    return save


if __name__ == "__main__":
    model_dir, step, moment, *bindings = sys.argv[1:]
    tf.train.Saver.save = dying_save(tf.train.Saver.save, int(step), moment)
    tiny.run(model_dir, *bindings)
