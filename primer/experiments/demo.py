"""Trains and evaluates one model of the comparison of Primers with two Transformers.

All train on the same tokens in the same order, each with its own learning rate (chosen by
`benchmarks/learning_rates.py`), and are evaluated at several steps on the whole validation split.
The directory of a run has the record of a sweep's, so that `primer report` knows its name and its
times.
"""

import dataclasses
import datetime
import os
import shutil
from collections.abc import Sequence
from typing import Any

from primer.errors import RunError, UsageError
from primer.experiments import contenders
from primer.experiments.sweeps import environment, run_process, run_record
from primer.experiments.sweeps.evaluations import wall_time
from primer.experiments.sweeps.expansion import SweepRun
from primer.launch import engine, evaluate

EVALUATIONS = 4
MARK = "primer_demo.txt"  # Marks a folder that a later demo may delete.
_NAME = {"name": "demo"}  # That of its sweep, for the records.


def run_contender(
    contender: contenders.Contender, folder: str, steps: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Trains one model from scratch and evaluates its checkpoints.

    Args:
        contender: one of `contenders.CONTENDERS`.
        folder: the output folder; the model's own folder in it is replaced.
        steps: training steps, or None for those of the demo's gin file.
        seed: the seed of the run.

    Returns:
        dict: "name", "label", "model_dir", "parameters", "learning_rate", "how" (what the
        evaluation counts), and "checkpoints": the rows of the evaluation, each with
        "tokens_trained" and the "seconds" of training until then.

    Raises:
        UsageError: the model's folder has files that no demo wrote.
        RunError: training or evaluation failed, with a message on the terminal.
    """
    model_dir = os.path.join(folder, contender.name)
    _create_empty(model_dir)
    bindings = []
    if steps is not None:
        bindings = [
            f"utils.run.train_steps = {steps}",
            f"utils.run.save_checkpoints_steps = {max(1, steps // EVALUATIONS)}",
        ]
    _train(contenders.run_of(contender, model_dir, seed, steps, bindings))
    steps_text = ",".join(str(step) for step in _trained_steps(model_dir))
    settings = {"evaluate_checkpoints.checkpoints": steps_text}
    _run_engine(evaluate.engine_arguments(model_dir, **settings))
    rows = _checkpoints(model_dir)
    return {
        "name": contender.name,
        "label": contender.label,
        "model_dir": model_dir,
        "parameters": rows[-1]["parameters"],
        "learning_rate": contender.learning_rate,
        "how": rows[-1]["how"],
        "checkpoints": rows,
    }


def add_differences(results: Sequence[dict[str, Any]], baseline: str = "transformer") -> None:
    """Adds "difference" to each model but the baseline: that of the last losses, with its error.

    Args:
        results: of `run_contender`; a difference has the attributes of
            `primer.evaluation.paired.difference.Difference`, without those that are nan.
        baseline: the name of the model that the others are compared with.
    """
    from primer.evaluation.paired import difference  # Not at the top: it imports TensorFlow.

    base = next(result for result in results if result["name"] == baseline)
    others = [result for result in results if result is not base]
    rows = [result["checkpoints"][-1] for result in others]
    found = difference.differences(rows, base["checkpoints"][-1], difference.NATS_PER_TOKEN)
    for result, one in zip(others, found, strict=True):
        numbers = dataclasses.asdict(one)
        result["difference"] = {key: value for key, value in numbers.items() if value == value}


def check_page(folder: str, page: str) -> None:
    """Raises UsageError if the demo would replace a page that no earlier demo has written.

    Args:
        folder: the output folder.
        page: the page in it.
    """
    marks = [os.path.join(folder, one.name, MARK) for one in contenders.CONTENDERS]
    if os.path.lexists(page) and not any(map(os.path.exists, marks)):
        raise UsageError(
            f"{page} is no earlier page of the demo; name another folder with --output"
        )


def _create_empty(model_dir: str) -> None:
    """Creates a folder in place of an earlier demo's; raises UsageError for any other one."""
    mark = os.path.join(model_dir, MARK)
    if os.path.isdir(model_dir) and os.listdir(model_dir):
        if not os.path.exists(mark):
            raise UsageError(
                f"{model_dir} has files and is no earlier run of the demo; name another folder "
                "with --output"
            )
        shutil.rmtree(model_dir)
    os.makedirs(model_dir, exist_ok=True)
    with open(mark, "w", encoding="utf-8") as out:
        out.write("A run of `primer demo`, which the next one replaces.\n")


def _train(run: SweepRun) -> None:
    """Trains a run in this process, and records it as a sweep records its runs."""
    start = {"began": environment.now(), **environment.describe(os.getcwd())}
    run_record.write(run.model_dir, run_process.record_of(run, _NAME, [start]))
    _run_engine(run.arguments)
    start |= {"ended": environment.now(), "exit_code": 0, "outcome": run_record.DONE}
    # All runs share this process. What the first one imports is not part of its training.
    start |= {wall_time.FIRST_STEP: _first_step_ended(run.model_dir)}
    start |= run_process.reached(run.model_dir)
    run_record.write(run.model_dir, run_process.record_of(run, _NAME, [start]))


def _run_engine(arguments: Sequence[str]) -> None:
    code = engine.print_and_run(arguments)
    if code:
        raise RunError(f"the demo stops: the command above ended with code {code}")


def _trained_steps(model_dir: str) -> list[int]:
    """Returns the steps of the checkpoints without step 0, the untrained model."""
    from primer.checkpoints import checkpoint_files  # Not at the top: it imports TensorFlow.

    return [step for step in checkpoint_files.whole_steps(model_dir) if step]


def _first_step_ended(model_dir: str) -> str:
    """Returns when the first step ended, from TensorBoard's events, as records have times."""
    from primer.runtime.tracking import event_files  # Not at the top: it imports TensorFlow.

    losses = (s for s in event_files.read_scalars(model_dir) if s.tag == "loss")
    times = [s.wall_time for s in losses if s.source == event_files.TRAIN]
    return datetime.datetime.fromtimestamp(min(times), datetime.timezone.utc).isoformat()


def _checkpoints(model_dir: str) -> list[dict[str, Any]]:
    """Returns the rows of a run's evaluation with "tokens_trained" and "seconds", by step.

    Seconds count from the end of the first step until the checkpoint is written. That leaves out
    building the graph, whose time does not depend on the length of the run.
    """
    from primer.experiments.report import runs  # Not at the top: it imports TensorFlow.

    (points,) = runs.read(model_dir).evaluations
    return [{**p.row, "tokens_trained": p.tokens, "seconds": p.seconds} for p in points]
