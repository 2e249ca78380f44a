"""Trains the runs of a sweep in processes of this machine, several at a time."""

import collections
import os
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from primer.errors import UsageError
from primer.experiments.sweeps import run_log, run_process, run_record
from primer.experiments.sweeps.expansion import SweepRun
from primer.experiments.sweeps.run_process import RunProcess
from primer.runtime.training import signals

POLL_SECONDS = 0.25
_ELSEWHERE_SECONDS = 1.0  # Between two looks at the lock of a run that another process trains.
_END_SECONDS = 10.0  # For engines to end after the second signal.
_LAST_LINES = 12


class Display(Protocol):
    """Shows the states of the runs."""

    def say(self, message: str) -> None:
        """Shows a message for good."""

    def update(self, states: Mapping[str, str]) -> None:
        """Shows {name of a run: its state}; called several times a second."""


class LocalRuns:
    """The runs of a sweep on this machine.

    Attributes:
        states: {name of a run: its state}, in the order of the runs.
    """

    def __init__(
        self,
        runs: Sequence[SweepRun],
        workers: int,
        sweep: Mapping[str, str],
        display: Display,
        program: Sequence[str] | None = None,
    ) -> None:
        """Looks at the directories of the runs; starts nothing.

        Args:
            runs: the runs.
            workers: how many are trained at a time; each has its share of the processors.
            sweep: for `run_process.begin`.
            display: shows what happens.
            program: the words that begin the engine; tests name another program.

        Raises:
            UsageError: a directory has another run, or there are more workers than processors.
        """
        self._shares = shares(workers)
        for run in runs:
            run_record.check_same_run(run)
        self._sweep = sweep
        self._display = display
        self._program = list(program or run_process.engine_program())
        self.states = {run.name: run_record.state_of(run) for run in runs}
        self._waiting = collections.deque(
            run for run in runs if self.states[run.name] != run_record.DONE
        )
        self._elsewhere: dict[str, float] = {}  # Name -> when its lock is tried again.
        self._active: list[RunProcess] = []

    def train(self) -> int:
        """Trains all runs that are not done.

        The first SIGINT or SIGTERM stops the engines, which save checkpoints; the second ends them.

        Returns:
            0 if all are done, 1 if not, 128 + the number of a signal that stopped the sweep.
        """
        try:
            with signals.stop_on_signals() as request:
                self._train_until(request)
                if request.signal:
                    return 128 + request.signal
        finally:
            self._end_all()
        return 0 if set(self.states.values()) <= {run_record.DONE} else 1

    def _train_until(self, request: signals.StopRequest) -> None:
        is_stopping = False
        while True:
            self._collect()
            if request.requested and not is_stopping:
                is_stopping = True
                count = len(self._active)
                self._display.say(f"{request.name}: {count} running, which save a checkpoint now")
                for active in self._active:
                    active.stop()
            if not request.requested:
                self._start_waiting()
            self._display.update(self.states)
            if not self._active and (is_stopping or not self._waiting):
                return
            time.sleep(POLL_SECONDS)

    def _collect(self) -> None:
        """Records the outcome of each engine that has ended."""
        for active in [one for one in self._active if one.process.poll() is not None]:
            self._active.remove(active)
            self._shares.append(active.processors)
            try:
                outcome = active.finish()
            except OSError as error:
                outcome = run_record.FAILED
                self._display.say(f"{active.run.name}: its end is not recorded: {error}")
            self.states[active.run.name] = outcome
            self._say_end(active, outcome)

    def _say_end(self, active: RunProcess, outcome: str) -> None:
        name, folder = active.run.name, active.run.model_dir
        done = sum(state == run_record.DONE for state in self.states.values())
        last = run_log.progress(folder)
        step = f", step {last.step:,}, loss {last.loss}" if last else ""
        self._display.say(f"[{done}/{len(self.states)}] {name}: {outcome}{step}")
        if outcome == run_record.FAILED:
            code = active.process.returncode
            self._display.say(f"  exit code {code}{_reason(code)}; the last lines of its log:")
            for line in run_log.last_lines(folder, _LAST_LINES):
                self._display.say(f"  | {line}")
            self._display.say(f"  {os.path.join(folder, run_record.LOG)}")

    def _start_waiting(self) -> None:
        for _ in range(len(self._waiting)):
            if not self._shares:
                return
            run = self._waiting.popleft()
            if self._elsewhere.get(run.name, 0.0) > time.monotonic():
                self._waiting.append(run)
                continue
            try:
                self._start(run)
            except OSError as error:
                self.states[run.name] = run_record.FAILED
                self._display.say(f"{run.name}: cannot be started: {error}")

    def _start(self, run: SweepRun) -> None:
        """Starts a run, or puts it back where another process trains it; raises OSError."""
        lock = run_record.lock(run.model_dir)
        if lock is None:
            if run.name not in self._elsewhere:
                self._display.say(f"{run.name}: another process trains it; waiting for its end")
            self.states[run.name] = run_record.RUNNING
            self._elsewhere[run.name] = time.monotonic() + _ELSEWHERE_SECONDS
            self._waiting.append(run)
            return
        try:
            state = run_record.recorded_state(run, run_record.read(run.model_dir))
            # One that failed elsewhere, while this process waited, is not tried a second time.
            is_tried = state == run_record.FAILED and run.name in self._elsewhere
            if state == run_record.DONE or is_tried:
                self.states[run.name] = state
                os.close(lock)
                return
            active = run_process.begin(run, lock, self._shares[0], self._program, self._sweep)
        except BaseException:
            os.close(lock)
            raise
        self._shares.pop(0)
        self._active.append(active)
        self.states[run.name] = run_record.RUNNING
        self._display.say(f"{run.name}: {'goes on' if state != run_record.WAITING else 'begins'}")

    def _end_all(self) -> None:
        """Ends what still runs, after an error or the second signal."""
        for active in self._active:
            active.stop()
        for active in self._active:
            active.kill(_END_SECONDS)
        self._collect()


def shares(workers: int) -> list[Sequence[int]]:
    """Returns the numbers of the processors of each worker, as equal in number as can be.

    Raises:
        UsageError: there are fewer processors than workers.
    """
    if hasattr(os, "sched_getaffinity"):
        processors = sorted(os.sched_getaffinity(0))
    else:
        processors = list(range(os.cpu_count() or 1))
    if workers > len(processors):
        raise UsageError(
            f"--workers = {workers}: this process may use {len(processors)} processors, and a run "
            "needs one of its own"
        )
    ends = [len(processors) * number // workers for number in range(workers + 1)]
    return [processors[a:b] for a, b in zip(ends, ends[1:])]


def _reason(code: int) -> str:
    if code == 0:
        return " before its last step"
    if code == -9:
        return " (killed: by hand, or because memory was short)"
    return f" (signal {-code})" if code < 0 else ""
