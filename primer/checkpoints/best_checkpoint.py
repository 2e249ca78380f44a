"""The best checkpoint of a run, copied to `model_dir/best` with all that is needed to use it.

`best.json` beside it says what was measured. The files `checkpoint` and `best.json` change when
the new copy is whole, and the old one goes last: a kill at any instant leaves one of the two.
"""

import os

import tensorflow.compat.v1 as tf

from primer.checkpoints import model_directory, vocabulary_copy
from primer.common import files

RECORD = "best.json"
BESIDE = (vocabulary_copy.PATTERN, model_directory.RECORD, model_directory.CONFIG)


def directory(model_dir) -> str:
    """Where the best checkpoint of a run is kept."""
    return os.path.join(model_dir, model_directory.BEST)


def read_result(model_dir):
    """What was measured of the checkpoint that is kept, a dict with "step", or None."""
    return files.read_json(os.path.join(directory(model_dir), RECORD), "remove the folder of it")


def store(model_dir, source, result):
    """Makes a checkpoint the one that is kept.

    Args:
        model_dir: of the run.
        source: the path of the checkpoint; that of the kept one itself changes its record only.
        result: what was measured, a dict of plain values with "step" and "nats_per_token".
    """
    best = directory(model_dir)
    tf.io.gfile.makedirs(best)
    old = set(tf.io.gfile.glob(os.path.join(best, "model.ckpt-*")))
    target = os.path.join(best, os.path.basename(source))
    names = tf.io.gfile.glob(source + ".*")
    for pattern in BESIDE:
        names += tf.io.gfile.glob(os.path.join(model_dir, pattern))
    new = {name: os.path.join(best, os.path.basename(name)) for name in names}
    for name, copy in new.items():
        if name != copy:
            tf.io.gfile.copy(name, copy, overwrite=True)
    tf.train.update_checkpoint_state(best, target)
    files.write_json(os.path.join(best, RECORD), result)
    for name in old - set(new.values()):
        tf.io.gfile.remove(name)
