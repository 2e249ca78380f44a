"""Options that several commands share, each declared once."""

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from primer.common import user_paths
from primer.errors import UsageError
from primer.gin_config import config_files
from primer.launch import train

if TYPE_CHECKING:
    from primer.common.live_line import LiveLine


def add_model(parser: argparse.ArgumentParser, model_help: str = "a model") -> None:
    """Adds --model, and --architecture, --activation and --size in its place.

    Args:
        parser: the command's parser.
        model_help: the beginning of the help of --model.
    """
    names = config_files.short_list(config_files.names_of_kind("models"))
    parser.add_argument("--model", type=user_paths.expand, help=f"{model_help}: {names}")
    for part in train.PARTS:
        parser.add_argument(
            f"--{part}",
            type=user_paths.expand,
            help=f"in place of --model, with the two others: {part}, a name or a gin file",
        )


def model_choice(options: argparse.Namespace) -> train.ModelChoice:
    """Returns the model that the options of `add_model` name."""
    return train.ModelChoice(options.model, options.architecture, options.activation, options.size)


def add_optimization(parser: argparse.ArgumentParser) -> None:
    """Adds --optimizer, --schedule and --learning_rate."""
    for option in ("optimizer", "schedule"):
        names = ", ".join(config_files.names_of_kind(f"{option}s"))
        parser.add_argument(
            f"--{option}", type=user_paths.expand, help=f"{option}: {names}; or a gin file"
        )
    parser.add_argument(
        "--learning_rate",
        type=float,
        help="the highest learning rate (the optimizer has a usual one)",
    )


def add_task(parser: argparse.ArgumentParser, task_help: str = "") -> None:
    """Adds --task, a data set.

    Args:
        parser: the command's parser.
        task_help: the beginning of its help; "" for that of a run.
    """
    names = ", ".join(config_files.names_of_kind("datasets"))
    what = task_help or "a data set with its objective, length, batch, schedule and steps"
    parser.add_argument("--task", type=user_paths.expand, help=f"{what}: {names}; or a gin file")


def add_task_without_data(parser: argparse.ArgumentParser) -> None:
    """Adds --task for a command that reads no data."""
    add_task(
        parser,
        "the data set of a run, of which its settings (batch, length, steps) and the number of its "
        "token ids are taken and no text is read",
    )


def add_trained_model_dir(parser: argparse.ArgumentParser, repeatable: bool = False) -> None:
    """Adds --model_dir, the directory of a trained model.

    Args:
        parser: the command's parser.
        repeatable: whether the option is a list of directories.
    """
    if repeatable:
        parser.add_argument(
            "--model_dir",
            type=user_paths.expand,
            action="append",
            required=True,
            help="a trained model; may be repeated",
        )
    else:
        parser.add_argument(
            "--model_dir", type=user_paths.expand, required=True, help="a trained model"
        )


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Adds --checkpoint."""
    parser.add_argument("--checkpoint", help="latest (default), best, or a step")


def add_seed(parser: argparse.ArgumentParser, meaning: str, default: int | None = None) -> None:
    """Adds --seed with the help text `meaning`."""
    parser.add_argument("--seed", type=int, default=default, help=meaning)


def add_scoring(parser: argparse.ArgumentParser, protocol_help: str) -> None:
    """Adds --protocol, --stride and --batch_size.

    Args:
        parser: the command's parser.
        protocol_help: the help of --protocol; commands differ in its default.
    """
    parser.add_argument("--protocol", help=protocol_help)
    parser.add_argument(
        "--stride", type=int, help="with --protocol sliding: tokens from one window to the next"
    )
    parser.add_argument(
        "--batch_size", type=int, help="windows per batch; changes the speed, not the numbers"
    )


def add_gin_files(parser: argparse.ArgumentParser) -> None:
    """Adds the positional GIN_FILE, a list `files`."""
    parser.add_argument(
        "files",
        type=user_paths.expand,
        nargs="*",
        metavar="GIN_FILE",
        help="gin files as for --gin_file of t5_mesh_transformer, models/defaults.gin first",
    )


def add_gin_file(parser: argparse.ArgumentParser) -> None:
    """Adds --gin_file, a list."""
    parser.add_argument(
        "--gin_file",
        type=user_paths.expand,
        action="append",
        default=[],
        help="a further gin file, after the model's and the task's; may be repeated",
    )


def add_gin_param(parser: argparse.ArgumentParser, example: str = "dropout_rate = 0.1") -> None:
    """Adds --gin_param, a list; the help shows the example."""
    parser.add_argument(
        "--gin_param",
        action="append",
        default=[],
        help=f'a further gin binding, as "{example}", after all files; may be repeated',
    )


def add_module_import(parser: argparse.ArgumentParser, purpose: str = "") -> None:
    """Adds --module_import, a list; `purpose` is added to the help."""
    parser.add_argument(
        "--module_import",
        action="append",
        default=[],
        help=f"a further Python module to import{purpose}; may be repeated",
    )


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Adds --trust, a list."""
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="MODULE",
        help="a Python module that the model directory's own config.gin may import, besides "
        "Primer's packages; may be repeated",
    )


def add_tfds_data_dir(parser: argparse.ArgumentParser) -> None:
    """Adds --t5_tfds_data_dir."""
    parser.add_argument(
        "--t5_tfds_data_dir",
        type=user_paths.expand,
        help="the folder of prepared TensorFlow data sets",
    )


def check_settings(
    files: Iterable[str], params: Iterable[str], modules: Iterable[str], slots: bool = False
) -> None:
    """Checks gin files and bindings as text, before the imports that reading them needs.

    Args:
        files: the gin files.
        params: the values of --gin_param.
        modules: the values of --module_import.
        slots: whether a misspelled slot of `params` is refused, as by a run.

    Raises:
        UsageError: a file is missing or not gin, or a slot is misspelled.
    """
    from primer.gin_config.before_imports import check

    check.check_files(files, params, modules, slots)


def say_settings_without_effect(
    files: Sequence[str], params: Sequence[str], line: "LiveLine"
) -> None:
    """Prints a line for each of the user's own settings that takes no effect, as a run does.

    Args:
        files: the gin files, which gin has parsed.
        params: the values of --gin_param.
        line: the line of progress, which these stand above.

    Raises:
        UsageError: the model cannot be built.
    """
    from primer.common import console
    from primer.gin_config import gin_errors
    from primer.planning import run_warnings

    with line.hidden():
        gin_errors.check_macro_names(params)
        for warning in run_warnings.lines_without_run(files, params):
            console.say(f"Warning: {warning}")


def gin_files_of_run(options: argparse.Namespace, verb: str) -> list[str]:
    """Returns the gin files of a run in the order of a command line, for a command without data.

    They are those of `add_model`, `add_task`, `add_gin_files`, `add_optimization` and
    `add_gin_file`. A model with a recipe of its own has it, and a line says so, unless the options
    name another.

    Args:
        options: the options.
        verb: what the command does with the run, for messages.

    Raises:
        UsageError: there is no file, or a name is unknown.
    """
    choice = model_choice(options)
    model_files = [] if choice.is_empty() else train.model_gin_files(choice)
    chosen = train.optimization_files(options.optimizer, options.schedule)
    named = [train.require_gin_file(file) for file in options.gin_file]
    task = task_files(options)
    files = [*model_files, *_own_recipe(options), *task, *options.files, *chosen, *named]
    if not files:
        raise UsageError(
            f"nothing to {verb}: give --model, or all of --architecture, --activation and --size, "
            "or gin files, models/defaults.gin first"
        )
    return files


def task_files(options: argparse.Namespace) -> list[str]:
    """Returns the gin file of --task, or none; raises UsageError for an unknown one."""
    return [train.task_gin_file(options.task)] if options.task else []


def _own_recipe(options: argparse.Namespace) -> list[str]:
    """Returns the file of a model's published run, unless the options name a recipe."""
    named = [*options.files, *options.gin_file]
    has_recipe = options.model in config_files.names_of_kind("recipes")
    if not has_recipe or any("recipes/" in file for file in named):
        return []
    recipe = config_files.gin_file("recipes", options.model)
    print(f"Batch, length and optimizer: {recipe}; later files and --gin_param change them.")
    return [recipe]
