"""Validation during training: evaluates the held-out split every N steps and keeps the best.

The runtime does not import `primer.evaluation`, which registers the evaluation with
`primer.runtime.callbacks.set_validator`.

A validation is due at a checkpoint. If a kill or a signal ends the run before it is complete, the
run that resumes from this checkpoint validates it first.

Training ends early (`primer.runtime.training.early_stop`) after the validations of this run, those
at the multiples of `validation.every`: what `primer eval` measures in between changes nothing.
"""

import dataclasses
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
from primer.runtime.tracking.tracker import Tracking
from primer.runtime.training import early_stop as early
from primer.runtime.training import signals

# Losses are comparable where these keys of their results are equal: the protocol and the text.
_MEASURE = ("how", "text_checksum")


@dataclasses.dataclass(frozen=True)
class ValidationSettings:
    """When training evaluates the held-out split, and when it ends early.

    Attributes:
        every: steps between two evaluations.
        early_stop: evaluations in a row without a better loss, after which training ends; None:
            training never ends early.
        min_improvement: by how many nats per token a loss has to be lower to count as better.
    """

    every: int
    early_stop: int | None = None
    min_improvement: float = 0.0


@gin.configurable(module="primer")
def validation(
    every: int | None = None, early_stop: int | None = None, min_improvement: float = 0.0
) -> ValidationSettings | None:
    """Returns the settings of the evaluations during training, or None for no evaluation.

    Args:
        every: steps between two evaluations of the whole held-out split, or None for never.
        early_stop, min_improvement: as of `ValidationSettings`.

    Raises:
        UsageError: a value is not valid, or has no effect without another setting.
    """
    if every is not None:
        checks.whole_number("validation.every (--eval_every)", every)
    if early_stop is not None:
        checks.whole_number("validation.early_stop (--early_stop)", early_stop)
    checks.number_from_zero("validation.min_improvement", min_improvement)
    if early_stop is not None and every is None:
        raise UsageError(
            f"validation.early_stop = {early_stop} (--early_stop) counts validations, and there "
            "are none: set --eval_every (validation.every), the steps between two of them"
        )
    if min_improvement and early_stop is None:
        raise UsageError(
            f"validation.min_improvement = {min_improvement} has no effect without --early_stop "
            "(validation.early_stop): set it too"
        )
    return ValidationSettings(every, early_stop, min_improvement) if every else None


class Validation:
    """Evaluates the checkpoints of a run and copies the best one to `model_dir/best`."""

    def __init__(self, estimator: Any, goal: int, stop_request: signals.StopRequest) -> None:
        """Reads the settings `validation.*`.

        Args:
            estimator: the LocalEstimator that trains.
            goal: the last step, which is always evaluated.
            stop_request: ends an evaluation between two batches.

        Raises:
            UsageError: validation is on, and nothing registered an evaluation.
        """
        self._tracking: Tracking | None = None
        self._untold: list[tuple[int, dict[str, float]]] = []  # Results before `track`.
        self._settings = validation()
        self._estimator = estimator
        self._goal = goal
        self._stop_request = stop_request
        self._make_validator = callbacks.validator_factory()
        if self._settings and self._make_validator is None:
            raise UsageError(
                f"validation.every = {self._settings.every} (--eval_every): no evaluation is "
                "registered; give --module_import=t5_imports"
            )

    @functools.cached_property
    def _validator(self) -> callbacks.Validator:
        assert self._make_validator is not None
        return self._make_validator(self._estimator, self._stop_request.check)

    def is_due(self, step: int) -> bool:
        """Whether the checkpoint of this step is to be evaluated."""
        if not step or not self._settings:
            return False
        return step % self._settings.every == 0 or step == self._goal

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
            result = self._validator.evaluate(path)
            self._untold.append((step, _numbers(result)))
            self._tell()
            self._keep_if_best(path, result)
        except signals.StopRequested:
            console.say(
                f"The validation of step {step:,} was stopped by {self._stop_request.name}; the "
                "same command does it first."
            )

    def track(self, tracking: Tracking) -> None:
        """Passes the results so far, and all later ones, to the tracker of the run."""
        self._tracking = tracking
        self._tell()

    def _tell(self):
        while self._tracking and self._untold:
            self._tracking.log(*self._untold.pop(0))

    def early_end(self, step: int) -> early.EarlyEnd | None:
        """Returns why training ends early at a step, or None if it goes on.

        Only what is recorded counts: no text is read.
        """
        settings = self._settings
        if settings is None or settings.early_stop is None:
            return None
        results = self._results_until(step)
        losses = [result["nats_per_token"] for result in results]
        count = early.without_improvement(losses, settings.min_improvement)
        if count < settings.early_stop:
            return None
        best = self._best_comparable_to(results[-1], self._validator.recorded)
        folder = best_checkpoint.directory(self._estimator.model_dir)
        return early.EarlyEnd(count, early.describe(count, settings.min_improvement, best, folder))

    def _results_until(self, step):
        """Returns the results of this run's validations that the latest is comparable to."""
        best = best_checkpoint.read_result(self._estimator.model_dir)
        # Of several results of a step, as of a training that went elsewhere, the last one counts.
        known = {
            row["step"]: row for row in [*([best] if best else []), *self._validator.history()]
        }
        due = [known[at] for at in sorted(known) if at <= step and self.is_due(at)]
        return [row for row in due if _is_same_measure(row, due[-1])]

    def _keep_if_best(self, path, result):
        best = self._best_comparable_to(result, self._validator.evaluate)
        better = _is_better(result, best)
        if better:
            remark = "  (best so far)"
        else:
            remark = f"  (best: step {best['step']:,})" if best else ""
        accuracy = f"  accuracy {result['accuracy']:.2%}" if "accuracy" in result else ""
        console.say(
            f"step {result['step']:,}  validation {result['nats_per_token']:.4f} nats per token"
            + accuracy
            + remark
        )
        if better:
            best_checkpoint.store(self._estimator.model_dir, path, result)

    def _best_comparable_to(self, result, evaluate):
        """Returns the best result so far, evaluated as `result` was; `evaluate` does so."""
        model_dir = self._estimator.model_dir
        best = best_checkpoint.read_result(model_dir)
        if best is None or _is_same_measure(best, result):
            return best
        # `primer eval --keep_best` may have used another protocol.
        path = checkpoint_files.latest_checkpoint(best_checkpoint.directory(model_dir))
        return evaluate(path) if path else None

    def _is_new_best(self, result):
        """Whether a known result belongs to `model_dir/best`, or may, and is not there."""
        best = best_checkpoint.read_result(self._estimator.model_dir)
        return (best and not _is_same_measure(best, result)) or _is_better(result, best)

    def close(self) -> None:
        """Closes the evaluation's session and files."""
        if "_validator" in vars(self):
            self._validator.close()


def _numbers(result):
    """The results that are no counts or settings, named as beside those of training."""
    return {f"validation/{key}": value for key, value in result.items() if isinstance(value, float)}


def _is_same_measure(first, second):
    return all(first.get(key) == second.get(key) for key in _MEASURE)


def _is_better(result, best):
    """Whether a loss is finite and below the best, or there is no finite best."""
    nats = result["nats_per_token"]
    return math.isfinite(nats) and not (best and best["nats_per_token"] <= nats)
