"""Evaluates the checkpoints of a sweep on workers that training leaves free."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from primer.experiments.sweeps import locks, run_log, run_record
from primer.experiments.sweeps.evaluations import evaluated, evaluation_process
from primer.experiments.sweeps.evaluations.evaluated import Stamp
from primer.experiments.sweeps.evaluations.evaluation_process import EvaluationProcess
from primer.experiments.sweeps.evaluations.request import Evaluation
from primer.experiments.sweeps.expansion import SweepRun
from primer.experiments.sweeps.workers.interface import Workers
from primer.experiments.sweeps.workers.retries import Retries

LOOK_SECONDS = 2.0  # Between two looks for new checkpoints.
# A run in these states has no checkpoint that is to be evaluated.
_LEFT_OUT = (run_record.WAITING, run_record.HOPELESS)


class Messages(Protocol):
    """Where messages are shown."""

    def say(self, message: str) -> None:
        """Shows a message for good."""


class Evaluations:
    """The evaluations of a sweep.

    Attributes:
        active: those that run.
        has_failed: whether one has failed.
    """

    def __init__(
        self,
        evaluations: Sequence[Evaluation],
        runs: Sequence[SweepRun],
        workers: Workers,
        messages: Messages,
        program: Sequence[str],
        on_results: Callable[[], None],
        retries: Retries,
    ) -> None:
        """Starts nothing.

        Args:
            evaluations: what is measured of each run.
            runs: the runs.
            workers: where; training uses them too.
            messages: shows what happens.
            program: the words before the arguments of `primer eval`.
            on_results: called when there are new results.
            retries: counts lost workers.
        """
        self._evaluations = evaluations
        self._runs = runs
        self._workers = workers
        self._messages = messages
        self._program = program
        self._on_results = on_results
        self._retries = retries
        self.active: list[EvaluationProcess] = []
        self.has_failed = False
        # (name of a run, key) -> what failed: another command tries it again.
        self._failed: dict[tuple[str, str], dict[int, Stamp]] = {}
        self._complete: set[str] = set()  # Names of runs that need no further look.
        self._next_look = 0.0
        self._states: dict[str, str] = {}  # At the last look.

    def collect(self) -> None:
        """Records the evaluations that have ended, and gives their workers back."""
        ended = [one for one in self.active if one.process.exit_code() is not None]
        for one in ended:
            self.active.remove(one)
            self._workers.give_back(one.worker)
            try:
                is_whole = one.finish()
            except OSError as error:
                is_whole = True  # The results are there; the next command finds them at once.
                self._remember_failure(one)
                self._messages.say(f"{one.title}: its end is not recorded: {error}")
            if is_whole:
                self._messages.say(f"{one.title}: done")
            elif not one.was_stopped and not self._goes_on(one):
                self._say_failure(one)
        if ended:
            self._next_look = 0.0
            self._on_results()

    def _goes_on(self, one: EvaluationProcess) -> bool:
        """Returns whether an evaluation is due again, because its worker was lost."""
        if not one.process.lost:
            return False
        is_left, message = self._retries.count(_name(one.run), one.process.lost)
        self._messages.say(message)
        return is_left

    def _say_failure(self, one: EvaluationProcess) -> None:
        deleted = one.deleted()
        if deleted:
            steps = ", ".join(f"{step:,}" for step in sorted(deleted))
            self._messages.say(
                f"{one.run.name}: the checkpoint of step {steps} was deleted before its evaluation "
                "(utils.run.keep_checkpoint_max)"
            )
            return
        self._remember_failure(one)
        self._messages.say(f"{one.title}: failed")
        for line in run_log.failure(one.run.model_dir, one.process.exit_code(), evaluated.LOG):
            self._messages.say(line)

    def _remember_failure(self, one: EvaluationProcess) -> None:
        self.has_failed = True
        known = self._failed.setdefault((one.run.name, one.evaluation.key), {})
        known.update(one.checkpoints)

    def start_due(self, states: Mapping[str, str]) -> bool:
        """Starts what is due, as far as workers are free.

        Args:
            states: {name of a run: its state}.

        Returns:
            Whether something that is due waits for a worker, or for the next look.
        """
        if not self._evaluations:
            return False
        if time.monotonic() < self._next_look and states == self._states:
            return True
        self._states = dict(states)
        self._next_look = time.monotonic() + LOOK_SECONDS
        for run in self._runs:
            if run.name not in self._complete and self._start_of(run, states[run.name]):
                return True
        return False

    def _start_of(self, run: SweepRun, state: str) -> bool:
        """Starts an evaluation of a run; returns whether one is due and no worker is free."""
        if state in _LEFT_OUT or any(one.run is run for one in self.active):
            return False
        for evaluation in self._evaluations:
            checkpoints = self._due(run, evaluation, state == run_record.DONE)
            if checkpoints:
                return self._start(run, evaluation, checkpoints)
        if state == run_record.DONE:
            self._complete.add(run.name)
        return False

    def _due(self, run: SweepRun, evaluation: Evaluation, is_done: bool) -> dict[int, Stamp]:
        failed = self._failed.get((run.name, evaluation.key), {})
        found = evaluated.missing(run.model_dir, evaluation, is_done)
        return {step: stamp for step, stamp in found.items() if failed.get(step) != stamp}

    def _start(
        self, run: SweepRun, evaluation: Evaluation, checkpoints: Mapping[int, Stamp]
    ) -> bool:
        """Starts an evaluation; returns whether no worker is free."""
        worker = self._workers.take()
        if worker is None:
            return True
        lock = None
        try:
            lock = locks.take(run.model_dir, evaluated.LOCK)
            if lock is None:  # Another command evaluates it, or it still ends on a lost worker.
                self._workers.give_back(worker)
                return self._retries.has_lost(_name(run))
            begun = evaluation_process.begin(
                run, evaluation, checkpoints, lock, worker, self._program
            )
        except OSError as error:
            self._workers.give_back(worker)
            if lock is not None:
                lock.release()
            self.has_failed = True
            self._failed.setdefault((run.name, evaluation.key), {}).update(checkpoints)
            self._messages.say(f"{run.name}: its evaluation cannot be started: {error}")
            return False
        self.active.append(begun)
        self._messages.say(f"{begun.title}: begins")
        return False


def _name(run: SweepRun) -> str:
    """Returns the name of a run's evaluations, for messages."""
    return f"{run.name}: evaluation"
