"""`primer eval`: checkpoints of one or several directories on a whole split."""

import sys

from primer.common import checks
from primer.errors import UsageError
from primer.evaluation import report, sharing
from primer.launch import engine, evaluate


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
        "--protocol", help="how the split is cut (docs/protocols.md); default: the data set's"
    )
    parser.add_argument(
        "--stride", type=int, help="tokens between two windows, with --protocol sliding"
    )
    parser.add_argument(
        "--follow", action="store_true", help="wait for new checkpoints until the run's last step"
    )
    parser.add_argument(
        "--timeout", type=float, help="with --follow: end after so many seconds without a new one"
    )
    parser.add_argument(
        "--again", action="store_true", help="score checkpoints again that have been scored"
    )
    parser.add_argument(
        "--keep_best", action="store_true", help="copy the best checkpoint to model_dir/best"
    )
    parser.add_argument(
        "--batch_size", type=int, help="windows per batch; changes the speed, not the numbers"
    )
    parser.add_argument(
        "--gin_param", action="append", default=[], help="a further setting; may be repeated"
    )
    parser.add_argument(
        "--module_import", action="append", default=[], help="a further Python module to import"
    )
    parser.add_argument("--t5_tfds_data_dir", help="the folder of prepared TensorFlow data sets")


def run(options) -> int:
    """Evaluates one directory after the other; returns the worst exit code."""
    _check(options)
    calls = [
        evaluate.engine_arguments(
            model_dir,
            options.module_import,
            options.t5_tfds_data_dir,
            options.gin_param,
            **_asked(options),
        )
        for model_dir in options.model_dir
    ]
    codes = []
    with sharing.directories() as shared:
        for arguments in calls:
            engine.print_command(arguments)
            codes.append(engine.run_main(arguments))
            sys.stdout.flush()
        if len({row["model_dir"] for row in shared.rows}) > 1:
            report.compare(shared.rows)
    return max(codes)


def _check(options):
    if options.batch_size is not None:
        checks.whole_number("--batch_size", options.batch_size)
    if options.timeout is not None:
        checks.positive_number("--timeout", options.timeout, "a number of seconds above 0")
        if not options.follow:
            raise UsageError("--timeout ends --follow: give both, or leave it out")
    if options.follow and len(options.model_dir) > 1:
        raise UsageError("--follow waits for one run: start one command for each --model_dir")
    if options.follow and options.checkpoints not in ("all", "latest"):
        raise UsageError(
            f"--checkpoints = {options.checkpoints!r} with --follow: expected all or latest, where "
            "it begins"
        )


def _asked(options) -> dict:
    """gin's name of each setting -> what was asked for; None: gin's own."""
    return {
        "evaluate_checkpoints.split": options.split,
        "evaluate_checkpoints.checkpoints": options.checkpoints,
        "evaluate_checkpoints.batch_size": options.batch_size,
        "evaluate_checkpoints.follow": options.follow or None,
        "evaluate_checkpoints.timeout": options.timeout,
        "evaluate_checkpoints.again": options.again or None,
        "evaluate_checkpoints.keep_the_best": options.keep_best or None,
        "protocol.name": options.protocol,
        "protocol.stride": options.stride,
    }
