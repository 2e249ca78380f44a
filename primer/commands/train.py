"""`primer train`: trains a published model or a composition on a task, with the task's settings."""

import argparse
import dataclasses

from primer.commands import options as shared
from primer.common import user_paths
from primer.launch import engine
from primer.launch import train as launch_train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    shared.add_model(parser)
    shared.add_task(parser)
    parser.add_argument(
        "--data",
        type=user_paths.expand,
        help="the --output of `primer data prepare`: train on it, with its vocabulary; sets --task",
    )
    parser.add_argument(
        "--model_dir", type=user_paths.expand, required=True, help="where checkpoints and logs go"
    )
    parser.add_argument("--steps", type=int, help="train to this step (the task has a default)")
    shared.add_seed(parser, "of initial values, data order and dropout")
    parser.add_argument(
        "--eval_every", type=int, help="evaluate the validation split every so many steps"
    )
    parser.add_argument(
        "--early_stop",
        type=int,
        metavar="N",
        help="end when N evaluations in a row brought no better loss; needs --eval_every",
    )
    parser.add_argument(
        "--profile",
        type=int,
        metavar="N",
        help="trace N steps after the first ones, and write where their time goes to "
        "model_dir/profile/",
    )
    parser.add_argument(
        "--tracker",
        help="log the run to a service: " + ", ".join(launch_train.TRACKERS),
    )
    _add_start(parser)
    shared.add_optimization(parser)
    shared.add_gin_file(parser)
    shared.add_gin_param(parser)
    shared.add_module_import(parser)
    shared.add_tfds_data_dir(parser)


def _add_start(parser: argparse.ArgumentParser) -> None:
    """Adds --from, and the options that say how it is read."""
    parser.add_argument(
        "--from",
        dest="from_",
        type=user_paths.expand,
        metavar="DIR_OR_CHECKPOINT",
        help="start from the weights of another run, at step 0 with a new optimizer; without a "
        "model and a task those of its directory are taken",
    )
    parser.add_argument(
        "--checkpoint", help="with --from DIR: latest (default), best, or a step of it"
    )
    parser.add_argument(
        "--skip",
        action="append",
        default=[],
        metavar="REGEX",
        help="with --from: weights whose names match keep their initial values; may be repeated",
    )
    parser.add_argument(
        "--grow",
        nargs="?",
        const="mean",
        metavar="mean|initial",
        help="with --from: larger vocabularies and longer learned positions get further rows, "
        "those of the vocabulary as the mean of the others (default) or with initial values",
    )
    parser.add_argument(
        "--keep_step",
        action="store_true",
        help="with --from: go on at its step, with its optimizer's state",
    )
    shared.add_trust(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the engine's command, runs it, and returns its exit code."""
    return engine.print_and_run(launch_train.engine_arguments(training_run(options)))


def training_run(options: argparse.Namespace) -> launch_train.TrainingRun:
    """Returns the run of training that the options describe."""
    names = {field.name for field in dataclasses.fields(launch_train.TrainingRun)} - {"model"}
    values = {name: getattr(options, name) for name in names}
    return launch_train.TrainingRun(model=shared.model_choice(options), **values)
