"""Trains and evaluates one model of the comparison of Primers with two Transformers.

All train on the same tokens in the same order, each with its own learning rate (chosen by
`benchmarks/learning_rates.py`), and are evaluated at several steps on the whole validation split.
"""

import dataclasses
import json
import math
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from primer.common import text_lines
from primer.errors import RunError, UsageError
from primer.experiments import contenders
from primer.gin_config import statements
from primer.launch import engine, evaluate

EVALUATIONS = 4
MARK = "primer_demo.txt"  # Marks a folder that a later demo may delete.


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
        dict: "name", "label", "parameters", "learning_rate", "how" (what the evaluation counts),
        and "checkpoints": the rows of the evaluation, each with "tokens_trained" and the "seconds"
        of training until then.

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
    _run_engine(contenders.train_arguments(contender, model_dir, seed, bindings))
    steps_text = ",".join(str(step) for step in _trained_steps(model_dir))
    settings = {"evaluate_checkpoints.checkpoints": steps_text}
    _run_engine(evaluate.engine_arguments(model_dir, **settings))
    (path,) = pathlib.Path(model_dir, "eval").glob("*.jsonl")
    rows = [json.loads(line) for line in text_lines.split_lines(path.read_bytes())]
    return {
        "name": contender.name,
        "label": contender.label,
        "parameters": count_parameters(model_dir),
        "learning_rate": recorded_setting(model_dir, contenders.RATE),
        "how": rows[-1]["how"],
        "checkpoints": _with_costs(rows, model_dir),
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


def _run_engine(arguments: Sequence[str]) -> None:
    code = engine.print_and_run(arguments)
    if code:
        raise RunError(f"the demo stops: the command above ended with code {code}")


def _trained_steps(model_dir: str) -> list[int]:
    """Returns the steps of the checkpoints without step 0, the untrained model."""
    from primer.checkpoints import checkpoint_files  # Not at the top: it imports TensorFlow.

    return [step for step in checkpoint_files.whole_steps(model_dir) if step]


def _with_costs(rows: Sequence[Mapping[str, Any]], model_dir: str) -> list[dict[str, Any]]:
    """Returns the rows with "tokens_trained" and the "seconds" of training until then.

    Seconds count from the end of the first step until the checkpoint is written. That leaves out
    building the graph, whose time does not depend on the length of the run.
    """
    length = recorded_setting(model_dir, "run.sequence_length")["targets"]
    _, batch = recorded_setting(model_dir, "run.batch_size")
    began = _first_step_time(model_dir)
    result = []
    for row in rows:
        written = os.path.getmtime(os.path.join(model_dir, f"model.ckpt-{row['step']}.index"))
        tokens = row["step"] * (batch // length) * length
        result.append({**row, "tokens_trained": tokens, "seconds": written - began})
    return result


def _first_step_time(model_dir: str) -> float:
    """Returns the wall time at which the first step ended, from TensorBoard's events."""
    import tensorflow as tf

    times = []
    for path in pathlib.Path(model_dir).glob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            if any(value.tag == "loss" for value in event.summary.value):
                times.append(event.wall_time)
    return min(times)


def count_parameters(model_dir: str) -> int:
    """Returns the number of parameters of the latest checkpoint, without optimizer slots."""
    from primer.checkpoints import checkpoint_files  # Not at the top: it imports TensorFlow.

    path = checkpoint_files.latest_checkpoint(model_dir)
    if path is None:
        raise checkpoint_files.no_checkpoint_error(model_dir)
    shapes = checkpoint_files.open_reader(path).get_variable_to_shape_map()
    return sum(
        math.prod(shape)
        for name, shape in shapes.items()
        if "_slot_" not in name and name != "global_step"
    )


def recorded_setting(model_dir: str, name: str) -> Any:
    """Returns the value of a parameter in the `config.gin` of a run.

    Args:
        model_dir: the directory of the run.
        name: the end of the parameter's full name, as in "run.batch_size".

    Raises:
        RunError: the file does not set the parameter.
    """
    for statement in statements.parse_file(os.path.join(model_dir, "config.gin")):
        if statements.is_binding(statement) and not statements.is_macro(statement):
            if f"{statement.selector}.{statement.arg_name}".endswith(name):
                return statement.value
    raise RunError(f"{model_dir}/config.gin does not set {name}")
