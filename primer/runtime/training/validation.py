"""Validation during training: every so many steps on the held-out split, keeping the best.

What is evaluated, and how, is not the runtime's: `primer.evaluation` fills `set_validator`.
"""

import math

import gin

from primer.checkpoints import best_checkpoint, checkpoint_files
from primer.common import checks
from primer.errors import UsageError

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
    if every is not None:
        checks.whole_number("validation.every (--eval_every)", every)
    return every


class Validation:
    """Evaluates the checkpoints of a run and copies the best to `model_dir/best`."""

    def __init__(self, estimator, saver):
        self._every = validation()
        self._estimator = estimator
        self._saver = saver
        self._evaluate = None
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
        best = self._best(result)
        better = best is None or _is_better(result["nats_per_token"], best["nats_per_token"])
        shown.say(
            f"step {step:,}  validation {result['nats_per_token']:.4f} nats per token"
            + ("  (best so far)" if better else f"  (best: step {best['step']:,})")
        )
        if better:
            best_checkpoint.store(self._estimator.model_dir, self._saver.last_path, result)

    def _best(self, result):
        """What is kept, measured as `result` was."""
        model_dir = self._estimator.model_dir
        best = best_checkpoint.read_result(model_dir)
        if best is None or best.get("how") == result.get("how"):
            return best
        # `primer eval --keep_best` may have measured it in another way.
        path = checkpoint_files.latest_checkpoint(best_checkpoint.directory(model_dir))
        return {"step": best["step"], **self._evaluate(path)} if path else None


def _is_better(nats, best):
    """Whether a loss is below the best; one that is not finite is better than nothing."""
    return math.isfinite(nats) and not best <= nats
