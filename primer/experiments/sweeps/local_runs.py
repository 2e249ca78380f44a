"""Trains the runs of a sweep on workers, several at a time, and evaluates them on free ones."""

import collections
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from primer.errors import UsageError
from primer.experiments.sweeps import locks, run_log, run_process, run_record
from primer.experiments.sweeps.evaluations import hopeless, results_file, schedule
from primer.experiments.sweeps.expansion import SweepRun
from primer.experiments.sweeps.run_process import RunProcess
from primer.experiments.sweeps.sweep_file import Sweep
from primer.experiments.sweeps.workers import retries
from primer.experiments.sweeps.workers.interface import Workers
from primer.runtime.training import signals

POLL_SECONDS = 0.25
_ELSEWHERE_SECONDS = 1.0  # Between two looks at the lock of a run that another process trains.
_END_SECONDS = 10.0  # For engines to end after the second signal.


class Display(schedule.Messages, Protocol):
    """Shows the states of the runs, and messages."""

    def update(self, states: Mapping[str, str]) -> None:
        """Shows {name of a run: its state}; called several times a second."""


class LocalRuns:
    """Runs of a sweep, trained and evaluated by processes that this one starts on workers.

    Attributes:
        states: {name of a run: its state}, in the order of the runs.
        results: the number of rows that `results.parquet` has got, or None where it could not be
            written.
    """

    def __init__(
        self,
        sweep: Sweep,
        runs: Sequence[SweepRun],
        workers: Workers,
        display: Display,
        all_runs: Sequence[SweepRun] | None = None,
        trains: bool = True,
        program: Sequence[str] | None = None,
        evaluation_program: Sequence[str] | None = None,
        most_retries: int = retries.MOST,
    ) -> None:
        """Looks at the directories of the runs; starts nothing.

        Args:
            sweep: the sweep.
            runs: those of its runs that are trained here.
            workers: where.
            display: shows what happens.
            all_runs: all of its runs, which hopeless ones are compared with; None for `runs`.
            trains: whether to train; if not, what is trained already is evaluated.
            program: the words that begin the engine; tests name another program.
            evaluation_program: the words that begin `primer eval`.
            most_retries: how often a run, or an evaluation, whose worker was lost goes on.

        Raises:
            UsageError: a directory has another run.
        """
        for run in runs:
            run_record.check_same_run(run)
        self._sweep = sweep
        self._all = list(all_runs or runs)
        self._workers = workers
        self._display = display
        self._program = list(program or run_process.engine_program())
        self.states = {run.name: run_record.state_of(run) for run in runs}
        self._waiting = collections.deque(
            run for run in runs if trains and self.states[run.name] not in run_record.ENDED
        )
        self._elsewhere: dict[str, float] = {}  # Name -> when its lock is tried again.
        self._active: list[RunProcess] = []
        self._retries = retries.Retries(most_retries)
        self._evaluations = schedule.Evaluations(
            sweep.evaluations,
            runs,
            workers,
            display,
            list(evaluation_program or run_process.evaluation_program()),
            self._write_results,
            self._retries,
        )
        self._trains = trains
        self._hopeless = hopeless.HopelessRuns(sweep.stop_hopeless, self._all, display)
        self.results: int | None = 0
        self._said: set[str] = set()

    def train(self) -> int:
        """Trains all runs that are not done, and evaluates what the sweep's file asks for.

        The first SIGINT or SIGTERM stops the engines, which save checkpoints; the second ends them.

        Returns:
            0 if all are done and evaluated (a hopeless run is done), 1 if not, 128 + the number of
            a signal that stopped the sweep.
        """
        try:
            with signals.stop_on_signals() as request:
                self._train_until(request)
                if request.signal:
                    return 128 + request.signal
        finally:
            self._end_all()
            self._write_results()
        is_short = self._trains and not set(self.states.values()) <= {*run_record.ENDED}
        return int(is_short or self._evaluations.has_failed or self.results is None)

    def _train_until(self, request: signals.StopRequest) -> None:
        is_stopping = is_due = False
        while True:
            self._workers.tidy()
            self._collect()
            if request.requested and not is_stopping:
                is_stopping = True
                ending = f"{len(self._active)} running, which save a checkpoint now"
                self._display.say(f"{request.name}: {ending}")
                self._stop_all()
            if not request.requested:
                self._hopeless.stop(self._active)
                self._start_waiting()
                is_due = self._evaluations.start_due(self.states)
            self._display.update(self.states)
            is_busy = bool(self._active or self._evaluations.active)
            if not is_busy and (is_stopping or not (self._waiting or is_due)):
                return
            time.sleep(POLL_SECONDS)

    def _collect(self) -> None:
        """Records the outcome of each process that has ended."""
        for active in [one for one in self._active if one.process.exit_code() is not None]:
            self._active.remove(active)
            self._workers.give_back(active.worker)
            try:
                outcome = active.finish()
            except OSError as error:
                outcome = run_record.FAILED
                self._display.say(f"{active.run.name}: its end is not recorded: {error}")
            self.states[active.run.name] = outcome
            self._say_end(active, outcome)
            if active.process.lost and outcome == run_record.STOPPED:
                is_left, message = self._retries.count(active.run.name, active.process.lost)
                self._display.say(message)
                if is_left:
                    self._waiting.appendleft(active.run)
        self._evaluations.collect()

    def _say_end(self, active: RunProcess, outcome: str) -> None:
        name, folder = active.run.name, active.run.model_dir
        ended = sum(state in run_record.ENDED for state in self.states.values())
        last = run_log.progress(folder)
        step = f", step {last.step:,}, loss {last.loss}" if last else ""
        self._display.say(f"[{ended}/{len(self.states)}] {name}: {outcome}{step}")
        for line in run_log.warnings(folder):
            self._say_once(f"  {line} ({name})", line)
        if outcome == run_record.FAILED:
            for line in run_log.failure(folder, active.process.exit_code()):
                self._display.say(line)

    def _start_waiting(self) -> None:
        for _ in range(len(self._waiting)):
            run = self._waiting.popleft()
            if self._elsewhere.get(run.name, 0.0) > time.monotonic():
                self._waiting.append(run)
                continue
            try:
                is_full = not self._start(run)
            except (OSError, UsageError) as error:
                self.states[run.name] = run_record.FAILED
                self._display.say(f"{run.name}: cannot be started: {error}")
                continue
            if is_full:
                self._waiting.appendleft(run)
                return

    def _start(self, run: SweepRun) -> bool:
        """Starts a run, or puts it back where another process trains it.

        Returns:
            Whether it was dealt with; False if no worker is free.

        Raises:
            OSError, UsageError: the run cannot be started, or its record is damaged.
        """
        worker = self._workers.take(len(self._waiting) + 1)
        if worker is None:
            return False
        lock = None
        is_started = False
        try:
            lock = locks.take(run.model_dir)
            if lock is None:
                self._wait_for_other(run)
                return True
            state = run_record.recorded_state(run, run_record.read(run.model_dir))
            # One that failed elsewhere, while this process waited, is not tried a second time.
            is_tried = state == run_record.FAILED and run.name in self._elsewhere
            if state in run_record.ENDED or is_tried:
                self.states[run.name] = state
                return True
            names = {"name": self._sweep.name, "file": self._sweep.path}
            self._active.append(run_process.begin(run, lock, worker, self._program, names))
            is_started = True
        finally:
            if not is_started:
                self._workers.give_back(worker)
                if lock is not None:
                    lock.release()
        self.states[run.name] = run_record.RUNNING
        self._display.say(f"{run.name}: {'goes on' if state != run_record.WAITING else 'begins'}")
        return True

    def _wait_for_other(self, run: SweepRun) -> None:
        if run.name not in self._elsewhere:
            self._display.say(f"{run.name}: another process trains it; waiting for its end")
        self.states[run.name] = run_record.RUNNING
        self._elsewhere[run.name] = time.monotonic() + _ELSEWHERE_SECONDS
        self._waiting.append(run)

    def _stop_all(self) -> None:
        for active in self._active:
            active.process.stop()
        for evaluation in self._evaluations.active:
            evaluation.stop()

    def _end_all(self) -> None:
        """Ends what still runs, after an error or the second signal."""
        self._stop_all()
        processes = [active.process for active in self._active]
        for process in [*processes, *(one.process for one in self._evaluations.active)]:
            process.kill(_END_SECONDS)
        self._collect()

    def _write_results(self) -> None:
        """Writes the sweep's table of results; a full disk is said, and nothing is lost."""
        self.results, problems = results_file.write(self._sweep.output, self._all)
        for problem in problems:
            self._say_once(problem, problem)

    def _say_once(self, message: str, key: str) -> None:
        if key not in self._said:
            self._said.add(key)
            self._display.say(message)
