"""One run's process: begins the engine under the run's lock, and records its start and its end."""

import dataclasses
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from primer.experiments.sweeps import environment, run_log, run_record
from primer.experiments.sweeps.expansion import SweepRun
from primer.experiments.sweeps.locks import Lock
from primer.experiments.sweeps.workers.interface import Process, Worker
from primer.launch import engine

# Exit codes of a run that a signal told to stop, after its checkpoint or before it could save one.
_STOP_CODES = {
    code for number in (signal.SIGINT, signal.SIGTERM) for code in (-number, 128 + number)
}


def engine_program() -> list[str]:
    """Returns the words that begin the engine: `t5_mesh_transformer` of this Python's environment.

    Without that script it is t5's main, as `primer train` calls it.
    """
    return script(engine.SCRIPT) or _python(
        "from primer.launch import engine; sys.exit(engine.run_main(sys.argv[1:]))"
    )


def evaluation_program() -> list[str]:
    """Returns the words that begin `primer eval` of this Python's environment."""
    found = script("primer") or _python("from primer import cli; cli.main(sys.argv[1:])")
    return [*found, "eval"]


def script(name: str) -> list[str]:
    """Returns the path of a script of this Python's environment, as a list; [] without it."""
    path = os.path.join(os.path.dirname(sys.executable), name)
    return [path] if os.access(path, os.X_OK) else []


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", f"import sys; {code}"]


def record_of(
    run: SweepRun, sweep: Mapping[str, str], starts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Returns the content of a run's `run.json`.

    Args:
        run: the run.
        sweep: the "name" of its sweep and, if it has one, its "file".
        starts: of each start "began" and `environment.describe`; once it has ended also "ended",
            "exit_code", "outcome" and `reached`.
    """
    return {
        "sweep": dict(sweep),
        "run": run.name,
        "values": dict(run.values),
        "settings": dict(run.settings),
        "command": [engine.SCRIPT, *run.arguments],
        "working_directory": os.getcwd(),
        "starts": list(starts),
    }


def reached(model_dir: str) -> dict[str, Any]:
    """Returns the "step" of the latest checkpoint, and the checksum of the "data" it has read."""
    return {
        "step": run_record.latest_step(model_dir),
        "data": run_record.data_checksum(model_dir),
    }


@dataclasses.dataclass
class RunProcess:
    """A run that is being trained.

    Attributes:
        run: the run.
        worker: where.
        record: the content of its `run.json`.
        lock: its lock.
        process: the engine.
    """

    run: SweepRun
    worker: Worker
    record: dict[str, Any]
    lock: Lock
    process: Process

    @property
    def is_hopeless(self) -> bool:
        """Whether it was told to stop as hopeless."""
        return run_record.HOPELESS in self.record["starts"][-1]

    def stop_hopeless(self, verdict: Mapping[str, Any]) -> None:
        """Records that the run is hopeless, and tells the engine to stop.

        Args:
            verdict: "step", "rule" and the numbers that were compared.

        Raises:
            OSError: the record cannot be written; the run goes on.
        """
        start = self.record["starts"][-1]
        # Before the signal: the mark stays if this process is killed.
        marked = [*self.record["starts"][:-1], {**start, run_record.HOPELESS: dict(verdict)}]
        run_record.write(self.run.model_dir, {**self.record, "starts": marked})
        self.record["starts"] = marked
        self.process.stop()

    def finish(self) -> str:
        """Records the outcome of an engine that has ended, and returns it.

        Raises:
            OSError: the record cannot be written; the lock is released nevertheless.
        """
        code = self.process.exit_code()
        assert code is not None
        if self.process.lost:
            self.record["starts"][-1]["lost"] = self.process.lost
        start = self.record["starts"][-1]
        start |= {"ended": environment.now(), "exit_code": code, "outcome": self._outcome(code)}
        start |= reached(self.run.model_dir)
        try:
            run_record.write(self.run.model_dir, self.record)
        finally:
            self.lock.release()
        return start["outcome"]

    def _outcome(self, code: int) -> str:
        if code in _STOP_CODES:
            return run_record.HOPELESS if self.is_hopeless else run_record.STOPPED
        if code:
            return run_record.FAILED
        goal, step = self.run.settings.get("steps"), run_record.latest_step(self.run.model_dir)
        is_short = step is None or (goal is not None and step < goal)
        if is_short and not run_record.stopped_early(self.run.model_dir):
            return run_record.FAILED
        return run_record.DONE


def begin(
    run: SweepRun,
    lock: Lock,
    worker: Worker,
    program: Sequence[str],
    sweep: Mapping[str, str],
) -> RunProcess:
    """Begins the engine of a run whose lock is held; the record is written before.

    Args:
        run: the run.
        lock: its lock, which the engine holds too.
        worker: where the engine runs.
        program: the words before the engine's arguments, from `engine_program`.
        sweep: the "name" and the "file" of the sweep, for the record.

    Raises:
        OSError: the directory cannot be written; the lock is still held.
    """
    before = run_record.read(run.model_dir)
    starts = before["starts"] if before else []
    # Described at each start: code and packages may change while a long sweep runs.
    start: dict[str, Any] = {
        "began": environment.now(),
        "processors": worker.processors,
        **environment.describe(os.path.dirname(sweep["file"])),
        **worker.describe(),  # The machine may be another one.
    }
    record = record_of(run, sweep, [*starts, start])
    run_record.write(run.model_dir, record)
    run_log.begin(run.model_dir, f"start {len(record['starts'])} of {run.name}, {start['began']}")
    log = os.path.join(run.model_dir, run_record.LOG)
    process = worker.start([*program, *run.arguments], log, [lock])
    return RunProcess(run, worker, record, lock, process)
