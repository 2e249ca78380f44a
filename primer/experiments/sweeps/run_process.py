"""One run's process: begins the engine under the run's lock, and records its start and its end."""

import dataclasses
import datetime
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from primer.experiments.sweeps import environment, process_start, run_log, run_record
from primer.experiments.sweeps.expansion import SweepRun
from primer.launch import engine

# Exit codes of a run that a signal told to stop, after its checkpoint or before it could save one.
_STOP_CODES = {
    code for number in (signal.SIGINT, signal.SIGTERM) for code in (-number, 128 + number)
}


def engine_program() -> list[str]:
    """Returns the words that begin the engine: `t5_mesh_transformer` of this Python's environment.

    Without that script it is t5's main, as `primer train` calls it.
    """
    script = os.path.join(os.path.dirname(sys.executable), engine.SCRIPT)
    if os.access(script, os.X_OK):
        return [script]
    code = "import sys; from primer.launch import engine; sys.exit(engine.run_main(sys.argv[1:]))"
    return [sys.executable, "-c", code]


@dataclasses.dataclass
class RunProcess:
    """A run that is being trained.

    Attributes:
        run: the run.
        processors: the numbers of the processors that are its own.
        record: the content of its `run.json`.
        lock: the file descriptor of its lock.
        process: the engine.
    """

    run: SweepRun
    processors: Sequence[int]
    record: dict[str, Any]
    lock: int
    process: subprocess.Popen

    def stop(self) -> None:
        """Tells the engine to save a checkpoint and to end; a second time, to end at once."""
        self.process.send_signal(signal.SIGTERM)  # Nothing if it has ended.

    def kill(self, seconds: float) -> None:
        """Waits some seconds for the end of the engine, and kills it then."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def finish(self) -> str:
        """Records the outcome of an engine that has ended, and returns it.

        Raises:
            OSError: the record cannot be written; the lock is released nevertheless.
        """
        code = self.process.returncode
        start = self.record["starts"][-1]
        start |= {"ended": _now(), "exit_code": code, "outcome": self._outcome(code)}
        start["step"] = run_record.latest_step(self.run.model_dir)
        try:
            run_record.write(self.run.model_dir, self.record)
        finally:
            os.close(self.lock)
        return start["outcome"]

    def _outcome(self, code: int) -> str:
        if code in _STOP_CODES:
            return run_record.STOPPED
        if code:
            return run_record.FAILED
        goal, step = self.run.settings.get("steps"), run_record.latest_step(self.run.model_dir)
        is_short = step is None or (goal is not None and step < goal)
        if is_short and not run_record.stopped_early(self.run.model_dir):
            return run_record.FAILED
        return run_record.DONE


def begin(
    run: SweepRun,
    lock: int,
    processors: Sequence[int],
    program: Sequence[str],
    sweep: Mapping[str, str],
) -> RunProcess:
    """Begins the engine of a run whose lock is held; the record is written before.

    Args:
        run: the run.
        lock: the file descriptor of its lock, which the engine inherits.
        processors: the numbers of the processors that the engine may use.
        program: the words before the engine's arguments, from `engine_program`.
        sweep: the "name" and the "file" of the sweep, for the record.

    Raises:
        OSError: the directory cannot be written; the lock is still held.
    """
    before = run_record.read(run.model_dir)
    starts = before["starts"] if before else []
    # Described at each start: code and packages may change while a long sweep runs.
    start: dict[str, Any] = {
        "began": _now(),
        "processors": len(processors),
        **environment.describe(os.path.dirname(sweep["file"])),
    }
    record = {
        "sweep": dict(sweep),
        "run": run.name,
        "values": dict(run.values),
        "settings": dict(run.settings),
        "command": [engine.SCRIPT, *run.arguments],
        "working_directory": os.getcwd(),
        "starts": [*starts, start],
    }
    run_record.write(run.model_dir, record)
    run_log.begin(run.model_dir, f"start {len(record['starts'])} of {run.name}, {start['began']}")
    words = [
        *(sys.executable, "-I", "-S", process_start.__file__),
        *(str(os.getpid()), ",".join(map(str, processors))),
        *(*program, *run.arguments),
    ]
    with open(os.path.join(run.model_dir, run_record.LOG), "ab") as log:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock],
            env={**os.environ, "OMP_NUM_THREADS": str(len(processors))},
            # Ctrl-C reaches this process alone, which hands it on once: a second signal would end
            # the engine without a checkpoint.
            start_new_session=True,
        )
    return RunProcess(run, processors, record, lock, process)


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
