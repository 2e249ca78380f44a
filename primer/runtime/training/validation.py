"""Validation during training: evaluates the held-out split every N steps and keeps the best.

The runtime does not import `primer.evaluation`, which registers the evaluation with
`primer.runtime.callbacks.set_validator`.

A validation is due at a checkpoint. If a kill or a signal ends the run before it is complete, the
run that resumes from this checkpoint validates it first.
"""

import functools
import math
from typing import Any

import gin

from primer.checkpoints import (
    best_checkpoint,
    checkpoint_files,
    model_directory,
)
from primer.common import checks, console
from primer.errors import UsageError
from primer.runtime import callbacks, model_function
from primer.runtime.training import signals

# Losses are comparable where these keys of their results are equal: the protocol and the text.
_MEASURE = ("how", "text_checksum")


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

    def __init__(self, estimator: Any, goal: int, stop_request: signals.StopRequest) -> None:
        """Reads `validation.every`.

        Args:
            estimator: the LocalEstimator that trains.
            goal: the last step, which is always evaluated.
            stop_request: ends an evaluation between two batches.

        Raises:
            UsageError: validation is on, and nothing registered an evaluation.
        """
        self._every = validation()
        self._estimator = estimator
        self._goal = goal
        self._stop_request = stop_request
        self._make_validator = callbacks.validator_factory()
        if self._every and self._make_validator is None:
            raise UsageError(
                f"validation.every = {self._every} (--eval_every): no evaluation is registered; "
                "give --module_import=t5_imports"
            )

    @functools.cached_property
    def _validator(self) -> callbacks.Validator:
        assert self._make_validator is not None
        return self._make_validator(self._estimator, self._stop_request.check)

    def is_due(self, step: int) -> bool:
        """Whether the checkpoint of this step is to be evaluated."""
        return bool(step and self._every) and (step % self._every == 0 or step == self._goal)

    def catch_up(self, path: str | None) -> None:
        """Evaluates the checkpoint that a run resumes from, if its evaluation was not completed.

        Args:
            path: the checkpoint, or None for a run that begins.

        Raises:
            UsageError: the checkpoint is of another model.
            RunError: it cannot be read.
        """
        if path is None or not self.is_due(checkpoint_files.step_of(path)):
            return
        result = self._validator.recorded(path)
        if result is not None and not self._is_new_best(result):
            return
        description = model_function.of_estimator(self._estimator).description
        model_directory.check_description(self._estimator.model_dir, description, training=True)
        self.evaluate(path)

    def evaluate(self, path: str) -> None:
        """Evaluates a checkpoint, prints the result, and keeps the checkpoint if it is the best.

        A signal ends this between two batches, with nothing written.

        Raises:
            RunError: the checkpoint cannot be read.
        """
        step = checkpoint_files.step_of(path)
        try:
            with self._stop_request.interrupting():
                self._validator.prepare()
            self._keep_if_best(path, self._validator.evaluate(path))
        except signals.StopRequested:
            console.say(
                f"The validation of step {step:,} was stopped by {self._stop_request.name}; the "
                "same command does it first."
            )

    def _keep_if_best(self, path, result):
        best = self._best_comparable_to(result)
        better = _is_better(result, best)
        if better:
            remark = "  (best so far)"
        else:
            remark = f"  (best: step {best['step']:,})" if best else ""
        console.say(
            f"step {result['step']:,}  validation {result['nats_per_token']:.4f} nats per token"
            + remark
        )
        if better:
            best_checkpoint.store(self._estimator.model_dir, path, result)

    def _best_comparable_to(self, result):
        """Returns the best result so far, evaluated as `result` was."""
        model_dir = self._estimator.model_dir
        best = best_checkpoint.read_result(model_dir)
        if best is None or _is_same_measure(best, result):
            return best
        # `primer eval --keep_best` may have used another protocol.
        path = checkpoint_files.latest_checkpoint(best_checkpoint.directory(model_dir))
        return self._validator.evaluate(path) if path else None

    def _is_new_best(self, result):
        """Whether a known result belongs to `model_dir/best`, or may, and is not there."""
        best = best_checkpoint.read_result(self._estimator.model_dir)
        return (best and not _is_same_measure(best, result)) or _is_better(result, best)

    def close(self) -> None:
        """Closes the evaluation's session and files."""
        if "_validator" in vars(self):
            self._validator.close()


def _is_same_measure(first, second):
    return all(first.get(key) == second.get(key) for key in _MEASURE)


def _is_better(result, best):
    """Whether a loss is finite and below the best, or there is no finite best."""
    nats = result["nats_per_token"]
    return math.isfinite(nats) and not (best and best["nats_per_token"] <= nats)
