"""The process of `primer eval` that evaluates checkpoints of one run."""

import dataclasses
import os
from collections.abc import Mapping, Sequence

from primer.experiments.sweeps import run_log
from primer.experiments.sweeps.evaluations import evaluated
from primer.experiments.sweeps.evaluations.evaluated import Stamp
from primer.experiments.sweeps.evaluations.request import Evaluation
from primer.experiments.sweeps.expansion import SweepRun
from primer.experiments.sweeps.locks import Lock
from primer.experiments.sweeps.workers.interface import Process, Worker


@dataclasses.dataclass
class EvaluationProcess:
    """Checkpoints of a run that are being evaluated.

    Attributes:
        run: the run.
        evaluation: what is measured.
        checkpoints: {step: stamp} of the checkpoints.
        worker: where.
        lock: the lock of the run's evaluations.
        process: `primer eval`.
        was_stopped: whether it was told to stop.
    """

    run: SweepRun
    evaluation: Evaluation
    checkpoints: Mapping[int, Stamp]
    worker: Worker
    lock: Lock
    process: Process
    was_stopped: bool = False

    @property
    def title(self) -> str:
        """What is evaluated, for messages."""
        steps = ", ".join(f"{step:,}" for step in sorted(self.checkpoints))
        return f"{self.run.name}: evaluation of step {steps} ({self.evaluation})"

    def stop(self) -> None:
        """Tells it to end; what it has scored is kept."""
        self.was_stopped = True
        self.process.stop()

    def finish(self) -> bool:
        """Records what an ended process has evaluated; returns whether all of it was.

        Raises:
            OSError: the record cannot be written; the lock is released nevertheless.
        """
        try:
            if self.process.exit_code():
                return False
            evaluated.add(self.run.model_dir, self.evaluation, self.checkpoints)
            return True
        finally:
            self.lock.release()

    def deleted(self) -> list[int]:
        """Returns the steps whose checkpoints training has deleted or written again since."""
        now = evaluated.stamps(self.run.model_dir, list(self.checkpoints))
        return [step for step, stamp in self.checkpoints.items() if now.get(step) != stamp]


def begin(
    run: SweepRun,
    evaluation: Evaluation,
    checkpoints: Mapping[int, Stamp],
    lock: Lock,
    worker: Worker,
    program: Sequence[str],
) -> EvaluationProcess:
    """Begins to evaluate checkpoints of a run, whose lock of evaluations is held.

    Args:
        run, evaluation, checkpoints, lock, worker: as the attributes of `EvaluationProcess`.
        program: the words before the arguments of `primer eval`.

    Raises:
        OSError: the process cannot be started; the lock is still held.
    """
    words = [*program, *evaluation.words(run.model_dir, checkpoints, run.settings)]
    steps = ",".join(map(str, sorted(checkpoints)))
    run_log.begin(run.model_dir, f"evaluation of step {steps}, {evaluation}", evaluated.LOG)
    log = os.path.join(run.model_dir, evaluated.LOG)
    return EvaluationProcess(
        run, evaluation, checkpoints, worker, lock, worker.start(words, log, [lock])
    )
