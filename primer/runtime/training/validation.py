"""Validation during training: evaluates the held-out split every N steps and keeps the best.

The runtime does not import `primer.evaluation`, which registers the evaluation with
`primer.runtime.callbacks.set_validator`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import gin
import tensorflow.compat.v1 as tf

from primer.checkpoints import best_checkpoint, checkpoint_files
from primer.common import checks
from primer.errors import UsageError
from primer.runtime import callbacks
from primer.runtime.training.checkpoint_writer import CheckpointWriter
from primer.runtime.training.progress import Progress


@gin.configurable(module="primer")
def validation(every: int | None = None) -> int | None:
    """Returns the number of steps between two evaluations during training.

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
    """Evaluates the checkpoints of a run and copies the best one to `model_dir/best`."""

    def __init__(self, estimator: Any, checkpoints: CheckpointWriter) -> None:
        """Reads `validation.every`.

        Args:
            estimator: the LocalEstimator that trains.
            checkpoints: the writer of its checkpoints.

        Raises:
            UsageError: validation is on, and nothing registered an evaluation.
        """
        self._every = validation()
        self._estimator = estimator
        self._checkpoints = checkpoints
        self._make_validator = callbacks.validator_factory()
        if self._every and self._make_validator is None:
            raise UsageError(
                f"validation.every = {self._every} (--eval_every): no evaluation is registered; "
                "give --module_import=t5_imports"
            )

    @functools.cached_property
    def _evaluate(self) -> Callable:
        """The function of a checkpoint's path, made at the first evaluation."""
        assert self._make_validator is not None
        return self._make_validator(self._estimator)

    def after_step(
        self, sess: tf.Session, step: int, progress_line: Progress, last: bool = False
    ) -> None:
        """Saves and evaluates a step if an evaluation is due.

        Args:
            sess: the session of training.
            step: the step that has ended.
            progress_line: prints the result.
            last: whether it is the last step, which is always evaluated.
        """
        if not self._every or (step % self._every and not last):
            return
        self._checkpoints.save(sess, step)
        result = {"step": step, **self._evaluate(self._checkpoints.last_path)}
        best = self._best_comparable_to(result)
        better = best is None or _is_better(result["nats_per_token"], best["nats_per_token"])
        progress_line.say(
            f"step {step:,}  validation {result['nats_per_token']:.4f} nats per token"
            + ("  (best so far)" if better else f"  (best: step {best['step']:,})")
        )
        if better:
            path = self._checkpoints.last_path
            assert path is not None  # A checkpoint has just been validated.
            best_checkpoint.store(self._estimator.model_dir, path, result)

    def _best_comparable_to(self, result):
        """Returns the best result so far, evaluated under the same protocol as `result`."""
        model_dir = self._estimator.model_dir
        best = best_checkpoint.read_result(model_dir)
        if best is None or best.get("how") == result.get("how"):
            return best
        # `primer eval --keep_best` may have used another protocol.
        path = checkpoint_files.latest_checkpoint(best_checkpoint.directory(model_dir))
        return {"step": best["step"], **self._evaluate(path)} if path else None


def _is_better(nats, best):
    """Whether a loss is finite and below the best, or the best is not a number."""
    return math.isfinite(nats) and not best <= nats
