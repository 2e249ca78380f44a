"""`primer eval`: checkpoints of one or several directories on a whole split."""

import json
import sys

from primer.commands import engine_call
from primer.errors import UsageError
from primer.evaluation import record


def add_arguments(parser):
    """Adds the arguments of the command to its parser."""
    parser.add_argument(
        "--model_dir", action="append", required=True, help="a trained model; may be repeated"
    )
    parser.add_argument("--split", default="validation", help="default: validation")
    parser.add_argument(
        "--checkpoints", default="all", help="all (default), latest, best, or steps as in 100,200"
    )
    parser.add_argument(
        "--batch_size", type=int, help="windows per batch; changes the speed, not the numbers"
    )
    parser.add_argument(
        "--module_import", action="append", default=[], help="a further Python module to import"
    )
    parser.add_argument("--t5_tfds_data_dir", help="the folder of prepared TensorFlow data sets")


def run(options) -> int:
    """Evaluates one directory after the other; returns the worst exit code."""
    if options.batch_size is not None and options.batch_size <= 0:
        raise UsageError(f"--batch_size = {options.batch_size}: expected a positive number")
    calls = [
        engine_arguments(
            model_dir,
            options.split,
            options.checkpoints,
            options.batch_size,
            options.module_import,
            options.t5_tfds_data_dir,
        )
        for model_dir in options.model_dir
    ]
    codes = []
    for arguments in calls:
        engine_call.show(arguments)
        codes.append(engine_call.call(arguments))
        sys.stdout.flush()
    return max(codes)


def engine_arguments(
    model_dir,
    split="validation",
    checkpoints="all",
    batch_size=None,
    module_import=(),
    t5_tfds_data_dir=None,
) -> list:
    """The arguments of `t5_mesh_transformer` that evaluate one directory.

    Raises:
      UsageError: the directory is not there or says nothing of its model.
    """
    arguments = [
        *(f"--module_import={name}" for name in ["t5_imports", *module_import]),
        f"--model_dir={model_dir}",
        f"--gin_file={record.config_file(model_dir)}",
        "--gin_file=run/evaluate.gin",
        f"--gin_param=evaluate_checkpoints.split = {json.dumps(split)}",
        f"--gin_param=evaluate_checkpoints.checkpoints = {json.dumps(checkpoints)}",
    ]
    if batch_size:
        arguments.append(f"--gin_param=evaluate_checkpoints.batch_size = {batch_size}")
    if t5_tfds_data_dir:
        arguments.append(f"--t5_tfds_data_dir={t5_tfds_data_dir}")
    return arguments
