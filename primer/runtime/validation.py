"""Validation during training: every so many steps on the held-out split, keeping the best.

What is evaluated, and how, is not the runtime's: `primer.evaluation` fills `set_validator`.
"""

import json
import math
import os

import gin
import tensorflow.compat.v1 as tf

from primer.errors import UsageError
from primer.runtime import model_directory, vocabulary_copy

BEST = model_directory.BEST

_validator = []


def set_validator(make):
    """Takes a function of an estimator that returns a function of a checkpoint's path.

    The latter gives a dict with "nats_per_token" and what else a reader should know.
    """
    _validator[:] = [make]


@gin.configurable(module="primer")
def validation(every=None):
    """How often to evaluate while training.

    Args:
      every: steps between two evaluations of the whole held-out split, or None for never.

    Returns:
      The number of steps, or None.

    Raises:
      UsageError: not a positive integer.
    """
    if every is not None and (not isinstance(every, int) or every <= 0):
        raise UsageError(
            f"validation.every = {every!r} (--eval_every): expected a positive integer"
        )
    return every


class Validation:
    """Evaluates the checkpoints of a run and copies the best to `model_dir/best`."""

    def __init__(self, estimator, saver):
        self._every = validation()
        self._estimator = estimator
        self._saver = saver
        self._evaluate = None
        self._directory = os.path.join(estimator.model_dir, BEST)
        if self._every and not _validator:
            raise UsageError(
                "--eval_every needs --module_import=t5_imports, which brings evaluation"
            )

    def after_step(self, sess, step, shown, last=False):
        """Saves and evaluates where it is due."""
        if not self._every or (step % self._every and not last):
            return
        self._saver.save(sess, step)
        if self._evaluate is None:
            self._evaluate = _validator[0](self._estimator)
        result = {"step": step, **self._evaluate(self._saver.last_path)}
        best = self._best()
        better = best is None or _is_better(result["nats_per_token"], best["nats_per_token"])
        shown.say(
            f"step {step:,}  validation {result['nats_per_token']:.4f} nats per token"
            + ("  (best so far)" if better else f"  (best: step {best['step']:,})")
        )
        if better:
            self._keep(step, result)

    def _best(self):
        path = os.path.join(self._directory, "best.json")
        if not tf.io.gfile.exists(path):
            return None
        with tf.io.gfile.GFile(path) as text:
            return json.loads(text.read())

    def _keep(self, step, result):
        """Copies the checkpoint and what it is of; the state files change last."""
        tf.io.gfile.makedirs(self._directory)
        old = set(tf.io.gfile.glob(os.path.join(self._directory, "model.ckpt-*")))
        source = self._saver.last_path
        new = set()
        for name in tf.io.gfile.glob(source + ".*"):
            target = os.path.join(self._directory, os.path.basename(name))
            tf.io.gfile.copy(name, target, overwrite=True)
            new.add(target)
        for name in (vocabulary_copy.PATTERN, model_directory.RECORD, model_directory.CONFIG):
            for path in tf.io.gfile.glob(os.path.join(self._estimator.model_dir, name)):
                target = os.path.join(self._directory, os.path.basename(path))
                tf.io.gfile.copy(path, target, overwrite=True)
        target = os.path.join(self._directory, os.path.basename(source))
        tf.train.update_checkpoint_state(self._directory, target)
        with tf.io.gfile.GFile(os.path.join(self._directory, "best.json"), "w") as text:
            text.write(json.dumps(result, indent=2, sort_keys=True) + "\n")
        for name in old - new:
            tf.io.gfile.remove(name)


def _is_better(nats, best):
    """Whether a loss is below the best; one that is not finite is better than nothing."""
    return math.isfinite(nats) and not best <= nats
