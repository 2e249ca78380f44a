"""Primer, Primer-EZ and the vanilla Transformer of one size on one text, compared.

The three train on the same number of tokens in the same order, each with the learning rate of its
own gin file (`run/demo_<architecture>.gin`), and are evaluated at several steps on the whole
validation split.
"""

import json
import os
import pathlib
import shutil

from primer.commands import engine_call
from primer.commands import eval as eval_command
from primer.errors import RunError
from primer.experiments import contenders


def run_one(contender, directory, steps=None) -> dict:
    """Trains and evaluates one model; returns its evaluation, with seconds of training added.

    Raises:
      RunError: training or evaluation ended with an error, which has been printed.
    """
    model_dir = os.path.join(directory, contender.name)
    shutil.rmtree(model_dir, ignore_errors=True)
    shorter = (
        f"utils.run.train_steps = {steps}",
        f"utils.run.save_checkpoints_steps = {max(1, (steps or 0) // 3)}",
    )
    _call(contenders.train_arguments(contender, model_dir, bindings=shorter if steps else ()))
    _call(eval_command.engine_arguments(model_dir, "validation", "all"))
    (path,) = pathlib.Path(model_dir, "eval").glob("*.json")
    result = json.loads(path.read_text())
    clock = training_seconds(model_dir)
    for row in result["checkpoints"]:
        row["seconds"] = clock(row["step"])
    return {"name": contender.label, **result}


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
