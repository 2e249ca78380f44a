"""Primer, Primer-EZ and the vanilla Transformer of one size on one text, compared.

The three train on the same number of tokens in the same order, each with its own learning rate
(the trial is in `benchmarks/`), and are evaluated at several steps on the whole validation split.
"""

import dataclasses
import json
import os
import pathlib
import shutil

from primer.commands import engine_call, eval as eval_command, train as train_command
from primer.errors import RunError

TASK = "sotu"
SIZE = "demo"
RUN_FILE = "run/demo.gin"


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A model of the comparison: its gin files and the learning rate chosen for it."""

    name: str
    architecture: str
    activation: str
    learning_rate: float


CONTESTANTS = (
    Contestant("Transformer", "transformer", "relu", 0.02),
    Contestant("Primer-EZ", "primer_ez", "squared_relu", 0.02),
    Contestant("Primer", "primer", "squared_relu", 0.02),
)


def engine_arguments(contestant, model_dir, steps=None, learning_rate=None) -> list:
    """The arguments of `t5_mesh_transformer` that train one model."""
    rate = learning_rate or contestant.learning_rate
    words = [
        f"--architecture={contestant.architecture}",
        f"--activation={contestant.activation}",
        f"--size={SIZE}",
        f"--task={TASK}",
        f"--model_dir={model_dir}",
        f"--gin_file={RUN_FILE}",
        f"--gin_param=constant_learning_rate.learning_rate = {rate}",
    ]
    if steps:
        words += [f"--steps={steps}"]
        words += [f"--gin_param=utils.run.save_checkpoints_steps = {max(1, steps // 3)}"]
    return train_command.engine_arguments(_options(train_command, words))


def run_one(contestant, directory, steps=None, learning_rate=None, checkpoints="all") -> dict:
    """Trains and evaluates one model; returns its evaluation, with seconds of training added.

    Raises:
      RunError: training or evaluation ended with an error, which has been printed.
    """
    model_dir = os.path.join(directory, contestant.architecture)
    shutil.rmtree(model_dir, ignore_errors=True)
    _call(engine_arguments(contestant, model_dir, steps, learning_rate))
    words = [f"--model_dir={model_dir}", f"--checkpoints={checkpoints}"]
    _call(eval_command.engine_arguments(_options(eval_command, words), model_dir))
    (path,) = pathlib.Path(model_dir, "eval").glob("*.json")
    result = json.loads(path.read_text())
    clock = training_seconds(model_dir)
    for row in result["checkpoints"]:
        row["seconds"] = clock(row["step"])
    return {"name": contestant.name, "learning_rate": contestant.learning_rate, **result}


def training_seconds(model_dir):
    """A function from a step to the seconds of training up to it, from the times of the events.

    The first step is not counted: it includes TensorFlow's own preparation.
    """
    import numpy as np
    import tensorflow as tf

    times = {}
    for path in sorted(pathlib.Path(model_dir).glob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            if any(value.tag == "loss" for value in event.summary.value):
                times[event.step] = event.wall_time
    first = times[min(times)]
    steps = sorted(times)
    elapsed = [times[step] - first for step in steps]
    return lambda step: float(np.interp(step, steps, elapsed)) if step else 0.0


def _call(arguments):
    engine_call.show(arguments)
    code = engine_call.call(arguments)
    if code:
        raise RunError(f"t5_mesh_transformer ended with code {code}")


def _options(command, words):
    import argparse

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)
