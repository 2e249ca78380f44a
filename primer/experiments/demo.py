"""Primer, Primer-EZ and the vanilla Transformer of one size on one text, compared.

The three train on the same tokens in the same order, each with its own learning rate (the trial is
`benchmarks/learning_rates.py`), and are evaluated at several steps on the whole validation split.
"""

import json
import math
import os
import pathlib
import shutil

from primer.errors import RunError, UsageError
from primer.experiments import contenders
from primer.gin_config import statements
from primer.launch import engine, evaluate

EVALUATIONS = 4
MARK = "primer_demo.txt"


def run_contender(contender, folder, steps=None, seed=0) -> dict:
    """Trains and evaluates one model, from the start.

    Args:
        contender: one of `contenders.CONTENDERS`.
        folder: where; its own folder in there is made anew.
        steps: steps of training, or None for what the demo's gin file says.
        seed: of the run.

    Returns:
        dict: "name", "label", "parameters", "learning_rate", and "checkpoints": the rows of the
        evaluation, each with "tokens_trained" and the "seconds" of training until then.

    Raises:
        RunError: training or evaluation ended with an error, which has been printed.
    """
    model_dir = os.path.join(folder, contender.name)
    _empty(model_dir)
    bindings = []
    if steps is not None:
        bindings = [
            f"utils.run.train_steps = {steps}",
            f"utils.run.save_checkpoints_steps = {max(1, steps // EVALUATIONS)}",
        ]
    _call(contenders.train_arguments(contender, model_dir, seed, bindings))
    wanted = ",".join(str(step) for step in _steps(model_dir))
    asked = {"evaluate_checkpoints.checkpoints": wanted}
    _call(evaluate.engine_arguments(model_dir, **asked))
    (path,) = pathlib.Path(model_dir, "eval").glob("*.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {
        "name": contender.name,
        "label": contender.label,
        "parameters": count_parameters(model_dir),
        "learning_rate": recorded_setting(model_dir, "constant.value"),
        "how": rows[-1]["how"],
        "checkpoints": _with_costs(rows, model_dir),
    }


def _empty(model_dir):
    """Deletes an earlier run, and nothing that is not one."""
    mark = os.path.join(model_dir, MARK)
    if os.path.isdir(model_dir) and os.listdir(model_dir):
        if not os.path.exists(mark):
            raise UsageError(
                f"{model_dir} is in the way and no earlier run of the demo; name another folder "
                "with --output"
            )
        shutil.rmtree(model_dir)
    os.makedirs(model_dir, exist_ok=True)
    with open(mark, "w", encoding="utf-8") as out:
        out.write("A run of `primer demo`, which the next one replaces.\n")


def _call(arguments):
    engine.print_command(arguments)
    code = engine.run_main(arguments)
    if code:
        raise RunError(f"the demo stops: the command above ended with code {code}")


def _steps(model_dir):
    """The steps of the checkpoints, without that of the untrained model."""
    from primer.checkpoints import checkpoint_files  # Not at the top: it imports TensorFlow.

    return [step for step in checkpoint_files.steps(model_dir) if step]


def _with_costs(rows, model_dir):
    """The rows with the tokens and the seconds that they were trained with.

    Seconds count from the end of the first step to the checkpoint: TensorFlow's preparation, which
    is the same for a run of any length, is left out.
    """
    length = recorded_setting(model_dir, "run.sequence_length")["targets"]
    _, batch = recorded_setting(model_dir, "run.batch_size")
    began = _first_step(model_dir)
    result = []
    for row in rows:
        written = os.path.getmtime(os.path.join(model_dir, f"model.ckpt-{row['step']}.index"))
        tokens = row["step"] * (batch // length) * length
        result.append({**row, "tokens_trained": tokens, "seconds": written - began})
    return result


def _first_step(model_dir) -> float:
    """The wall time at which the first step ended, from the events."""
    import tensorflow as tf

    times = []
    for path in pathlib.Path(model_dir).glob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            if any(value.tag == "loss" for value in event.summary.value):
                times.append(event.wall_time)
    return min(times)


def count_parameters(model_dir) -> int:
    """The trained numbers of a model, without the optimizer's."""
    import tensorflow as tf

    variables = tf.train.list_variables(tf.train.latest_checkpoint(model_dir))
    return sum(
        math.prod(shape)
        for name, shape in variables
        if "_slot_" not in name and name != "global_step"
    )


def recorded_setting(model_dir, name):
    """The value of a parameter in the `config.gin` of a run, by the end of its name."""
    for statement in statements.parse_file(os.path.join(model_dir, "config.gin")):
        if getattr(statement, "arg_name", None):
            if f"{statement.selector}.{statement.arg_name}".endswith(name):
                return statement.value
    raise RunError(f"{model_dir}/config.gin does not set {name}")
