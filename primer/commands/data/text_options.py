"""Which texts a command of `primer data` reads: `--input GLOB...`, or `--task` with its gin files.

Both end in a task of seqio, so that the documents and their splits are those of training.
"""

import contextlib
import importlib
import re

from primer.commands import options as shared
from primer.errors import UsageError
from primer.gin_config import config_files
from primer.launch import train

# Option -> the setting of the task `text` that it stands for.
SETTINGS = {
    "input": "glob",
    **{name: name for name in ("unit", "field", "held_out", "on_bad_utf8", "normalize")},
}


def add_arguments(parser):
    """Adds the options that choose texts."""
    parser.add_argument(
        "--input", nargs="+", action="extend", metavar="GLOB", help="files; quote the patterns"
    )
    parser.add_argument("--unit", help="with --input: a document is a file (default) or a line")
    parser.add_argument("--field", help="with --input: the text's key or column (text)")
    parser.add_argument(
        "--held_out", type=float, help="with --input: the share kept for validation (0.05)"
    )
    parser.add_argument("--on_bad_utf8", help="with --input: error (default) or skip")
    parser.add_argument("--normalize", help="with --input: nfkc; nothing is changed without it")
    parser.add_argument(
        "--task",
        help="instead of --input: a task or mixture, or one of "
        + ", ".join(config_files.names_of_kind("datasets")),
    )
    shared.add_gin_file(parser)
    shared.add_gin_param(parser)
    shared.add_module_import(parser)
    shared.add_tfds_data_dir(parser)


@contextlib.contextmanager
def task_of(options):
    """The name of the task that the options choose, with gin's settings of it inside the block.

    Raises:
        UsageError: the options choose none, or gin cannot take them.
    """
    _check(options)
    _prepare_imports()
    import_modules(own_modules(options))
    import t5.data

    from primer.gin_config import isolation

    with isolation.isolated(), _named_as_options(options):
        _read_gin(options)
        t5.data.set_tfds_data_dir_override(options.t5_tfds_data_dir)
        try:
            yield _task_name(options.task) if options.task else "text"
        finally:
            t5.data.set_tfds_data_dir_override(None)


def _check(options):
    if bool(options.input) == bool(options.task):
        raise UsageError("no text: give --input GLOB or --task TASK, one of them")
    if options.task and options.task != "text":
        for option in SETTINGS:
            if getattr(options, option) is not None:
                raise UsageError(
                    f"--{option} {getattr(options, option)} goes with --input; the texts of task "
                    f"{options.task} are what they are, so that results stay comparable"
                )


def own_modules(options) -> list[str]:
    """What registers the tasks and whatever else the options' gin files name."""
    return [*(["t5_imports"] if options.gin_file else []), *options.module_import]


def import_modules(names):
    """Imports the project's tasks and further modules.

    Raises:
        UsageError: one of them cannot be imported.
    """
    for name in ["primer.data.preflight", *names]:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"--module_import={name}: {error}") from error


def _prepare_imports():
    from primer.common import console
    from primer.runtime import import_hook

    console.capture_early()
    import_hook.install()


def _read_gin(options):
    """Files, then bindings, then the options that stand for settings."""
    import gin

    from primer.gin_config import gin_errors

    gin.add_config_file_search_path(config_files.gin_directory())
    try:
        for path in options.gin_file:
            # What the files bind besides data (layers, a trainer) may be unknown here.
            gin.parse_config_file(train.require_gin_file(path), skip_unknown=True)
        gin.parse_config(options.gin_param)
    except (ValueError, SyntaxError, ImportError, OSError) as error:
        raise gin_errors.as_usage_error(error) from error
    for option, setting in SETTINGS.items():
        if getattr(options, option) is not None:
            gin.bind_parameter(f"text_files.{setting}", getattr(options, option))


def _task_name(name):
    """A task's full name; of a file in datasets/ the task that it names."""
    return {file: task for task, file in train.dataset_of_task().items()}.get(name, name)


@contextlib.contextmanager
def _named_as_options(options):
    """Errors about `--input` call the settings as the user did."""
    try:
        yield
    except UsageError as error:
        message = str(error)
        if options.input:
            for option, setting in SETTINGS.items():
                message = re.sub(rf"text_files\.{setting} = '(\w+)'", rf"--{option} \1", message)
                message = message.replace(f"text_files.{setting}", f"--{option}")
        raise type(error)(message) from error
