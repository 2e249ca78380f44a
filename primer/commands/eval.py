"""`primer eval`: evaluates checkpoints of one or several directories on a whole split."""

import argparse
import sys
from typing import Any

from primer.commands import options as shared
from primer.common import checks
from primer.errors import UsageError
from primer.evaluation import report, sharing
from primer.launch import engine, evaluate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    shared.add_trained_model_dir(parser, repeatable=True)
    parser.add_argument("--split", default="validation", help="default: validation")
    parser.add_argument(
        "--checkpoints", default="all", help="all (default), latest, best, or steps as in 100,200"
    )
    shared.add_scoring(
        parser, "how the split is cut (docs/protocols.md); default: the data set's own"
    )
    parser.add_argument(
        "--columns", type=int, help="with --protocol transformer_xl: columns of the text (10)"
    )
    parser.add_argument(
        "--ext_len",
        type=int,
        help="with --protocol transformer_xl: tokens before each segment that are computed again",
    )
    parser.add_argument(
        "--accuracy",
        action="store_true",
        help="count the tokens that are the model's first choice too, as tasks with marked answers "
        "(docs/probes.md) always do",
    )
    parser.add_argument(
        "--follow", action="store_true", help="wait for new checkpoints until the run's last step"
    )
    parser.add_argument(
        "--timeout", type=float, help="with --follow: end after so many seconds without a new one"
    )
    parser.add_argument(
        "--again", action="store_true", help="evaluate again what has a result already"
    )
    parser.add_argument(
        "--keep_best", action="store_true", help="copy the best checkpoint to model_dir/best"
    )
    parser.add_argument(
        "--baseline",
        help="with several --model_dir: the one that the others are compared with (the first)",
    )
    parser.add_argument(
        "--order_by",
        choices=report.ORDERS,
        help="the order of the rows: flops (of the training up to the checkpoint), step or loss; "
        "default: step, and several --model_dir as given",
    )
    parser.add_argument(
        "--activation_dtype",
        choices=("float32", "bfloat16"),
        help="the type of the model's activations (float32); a result of bfloat16 says so",
    )
    shared.add_gin_param(parser)
    shared.add_module_import(parser)
    shared.add_trust(parser)
    shared.add_tfds_data_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluates one directory after the other and returns the largest exit code."""
    _check_options(options)
    command_lines = [
        evaluate.engine_arguments(
            model_dir,
            options.module_import,
            options.t5_tfds_data_dir,
            options.gin_param,
            options.trust,
            **_settings(options),
        )
        for model_dir in options.model_dir
    ]
    codes = []
    with sharing.shared_evaluation() as shared_work:
        for arguments in command_lines:
            codes.append(engine.print_and_run(arguments))
            sys.stdout.flush()
        if len({row["model_dir"] for row in shared_work.rows}) > 1:
            _print_comparison(shared_work.rows, options)
    return max(codes)


def _print_comparison(rows, options):
    from primer.evaluation.paired import difference_table  # Not at the top: it imports TensorFlow.

    report.print_comparison(rows, order_by=options.order_by)
    difference_table.print_differences(rows, options.baseline)


def _check_options(options) -> None:
    """Raises UsageError for numbers and combinations of options that cannot work."""
    if options.batch_size is not None:
        checks.whole_number("--batch_size", options.batch_size)
    if options.timeout is not None:
        checks.positive_number("--timeout", options.timeout, "a number of seconds above 0")
        if not options.follow:
            raise UsageError("--timeout ends --follow: give both, or leave it out")
    names = options.model_dir
    if options.baseline and not any(report.same_directory(options.baseline, n) for n in names):
        raise UsageError(
            f"--baseline {options.baseline}: expected one of --model_dir ({', '.join(names)})"
        )
    if options.baseline and len(names) < 2:
        raise UsageError("--baseline is for a comparison: give --model_dir twice or more")
    if options.follow and len(options.model_dir) > 1:
        raise UsageError("--follow waits for one run: start one command for each --model_dir")
    if options.follow and options.checkpoints not in ("all", "latest"):
        raise UsageError(
            f"--checkpoints = {options.checkpoints!r} with --follow: expected all or latest, the "
            "checkpoints to evaluate first"
        )


def _settings(options) -> dict[str, Any]:
    """Returns {gin's name of a setting: value}; None leaves gin's value in force."""
    return {
        "evaluate_checkpoints.split": options.split,
        "evaluate_checkpoints.checkpoints": options.checkpoints,
        "evaluate_checkpoints.batch_size": options.batch_size,
        "evaluate_checkpoints.follow": options.follow or None,
        "evaluate_checkpoints.timeout": options.timeout,
        "evaluate_checkpoints.again": options.again or None,
        "evaluate_checkpoints.keep_the_best": options.keep_best or None,
        "evaluate_checkpoints.order_by": options.order_by,
        "evaluate_checkpoints.activation_dtype": options.activation_dtype,
        "protocol.name": options.protocol,
        "protocol.stride": options.stride,
        "protocol.columns": options.columns,
        "protocol.ext_len": options.ext_len,
        "protocol.accuracy": options.accuracy or None,
    }
