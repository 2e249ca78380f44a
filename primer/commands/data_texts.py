"""Which texts a command of `primer data` reads: `--input GLOB...`, or `--task` with its gin files.

Both end in a task of seqio, so that the documents and their splits are those of training.
"""

import contextlib
import importlib
import os

from primer import config_files
from primer.commands import train
from primer.errors import UsageError
from primer.planning import gin_files

# Option -> the setting of the task `text` that it stands for.
SETTINGS = {"input": "glob", "unit": "unit", "field": "field", "held_out": "held_out"}


def add_arguments(parser):
    """Adds the options that choose texts."""
    parser.add_argument(
        "--input", nargs="+", action="extend", metavar="GLOB", help="files; quote the patterns"
    )
    parser.add_argument("--unit", help="a document is a file (default) or a line")
    parser.add_argument("--field", help="of a line of a .jsonl file (default: text)")
    parser.add_argument(
        "--held_out", type=float, help="the share of documents kept for validation (0.05)"
    )
    parser.add_argument(
        "--task",
        help="instead of --input: a task or mixture, or one of "
        + ", ".join(config_files.names("datasets")),
    )
    train.add_gin_arguments(parser)


@contextlib.contextmanager
def task_of(options):
    """The name of the task that the options choose, with gin's settings of it inside the block.

    Raises:
        UsageError: the options choose none, or gin cannot take them.
    """
    _check(options)
    _import(options.module_import)
    import gin
    import t5.data

    from primer.evaluation import gin_state
    from primer.runtime import gin_errors

    with gin_state.isolated(), _named_as_options(options):
        try:
            for path in options.gin_file:
                gin.parse_config_file(_gin_file(path), skip_unknown=True)
            gin.parse_config(options.gin_param)
        except (ValueError, SyntaxError, ImportError, OSError) as error:
            raise gin_errors.in_one_line(error) from error
        for option, setting in SETTINGS.items():
            if getattr(options, option) is not None:
                gin.bind_parameter(f"text_files.{setting}", getattr(options, option))
        t5.data.set_tfds_data_dir_override(options.t5_tfds_data_dir)
        try:
            yield _task_name(options.task) if options.task else "text"
        finally:
            t5.data.set_tfds_data_dir_override(None)


def _check(options):
    if bool(options.input) == bool(options.task):
        raise UsageError("no text: give --input GLOB or --task TASK, one of them")
    if options.task:
        for option, setting in SETTINGS.items():
            if getattr(options, option) is not None:
                raise UsageError(
                    f"--{option} goes with --input; for --task set "
                    f"--gin_param 'text_files.{setting} = ...'"
                )


def _import(modules):
    from primer.runtime import hook, logs

    logs.capture_early()
    hook.install()
    for name in ["t5_imports", *modules]:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"--module_import={name}: {error}") from error


def _gin_file(path):
    """A file of the user's, or one of the project's by its relative name."""
    own = os.path.join(config_files.gin_directory(), path)
    found = path if os.path.isfile(path) else own
    if not os.path.isfile(found):
        raise UsageError(f"--gin_file {path}: there is no such file")
    return found


def _task_name(name):
    """A task's full name; of a file in datasets/ the task that it names."""
    if name not in config_files.names("datasets"):
        return name
    path = os.path.join(config_files.gin_directory(), config_files.find("datasets", name))
    return gin_files.macros_set(path).get("MIXTURE_NAME", name)


@contextlib.contextmanager
def _named_as_options(options):
    """Errors about `--input` call the settings as the user did."""
    try:
        yield
    except UsageError as error:
        message = str(error)
        if options.input:
            for option, setting in SETTINGS.items():
                message = message.replace(f"text_files.{setting}", f"--{option}")
        raise type(error)(message) from error
