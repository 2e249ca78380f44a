"""Options of `primer data` that choose texts: `--input GLOB...`, or `--task` with its gin files.

Both select a seqio task, so that the documents and their splits are those of training.
"""

import argparse
import contextlib
import os
import re
from collections.abc import Iterator

from primer.commands import options as shared
from primer.common import user_paths
from primer.errors import UsageError
from primer.gin_config import config_files
from primer.launch import train
from primer.planning.plans import engine_imports

# Option -> the setting of `text_files` that it sets.
SETTINGS = {
    "input": "glob",
    **{name: name for name in ("unit", "field", "held_out", "on_bad_utf8", "normalize")},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose texts."""
    parser.add_argument(
        "--input",
        type=user_paths.expand,
        nargs="+",
        action="extend",
        metavar="GLOB",
        help="files; quote the patterns",
    )
    parser.add_argument("--unit", help="with --input: a document is a file (default) or a line")
    parser.add_argument("--field", help="with --input: the key or column of the text (text)")
    parser.add_argument(
        "--held_out", type=float, help="with --input: the share kept for validation (0.05)"
    )
    parser.add_argument("--on_bad_utf8", help="with --input: error (default) or skip")
    parser.add_argument("--normalize", help="with --input: nfkc; by default texts are unchanged")
    parser.add_argument(
        "--task",
        type=user_paths.expand,
        help="instead of --input: a task or mixture, or one of "
        + ", ".join(config_files.names_of_kind("datasets")),
    )
    shared.add_gin_file(parser)
    shared.add_gin_param(parser)
    shared.add_module_import(parser)
    shared.add_tfds_data_dir(parser)


def add_vocabulary_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the option that replaces the task's vocabulary."""
    parser.add_argument(
        "--vocabulary",
        type=user_paths.expand,
        help="t5, sotu, bytes, ..., a SentencePiece model, or a tokenizer.json (default: the "
        "task's own)",
    )


@contextlib.contextmanager
def configured_task(options: argparse.Namespace) -> Iterator[str]:
    """A context with gin configured by the options; yields the name of the task that they choose.

    Raises:
        UsageError: the options choose no task, or gin rejects its settings.
    """
    _check(options)
    prepare_imports()
    engine_imports.import_modules(["primer.data.preflight", *modules_to_import(options)])
    import t5.data

    from primer.gin_config import isolation

    with isolation.isolated(), _errors_named_as_options(options):
        _configure_gin(options)
        t5.data.set_tfds_data_dir_override(options.t5_tfds_data_dir)
        try:
            yield _task_name(options.task) if options.task else "text"
        finally:
            t5.data.set_tfds_data_dir_override(None)


@contextlib.contextmanager
def configured_task_and_vocabulary(options: argparse.Namespace) -> Iterator[str]:
    """As `configured_task`, with --vocabulary bound and TensorFlow's messages suppressed."""
    from primer.common import console

    with configured_task(options) as task, console.redirected_to_log(None, "prepare"):
        _bind_vocabulary(options.vocabulary)
        yield task


def _check(options):
    if bool(options.input) == bool(options.task):
        raise UsageError("no text: give --input GLOB or --task TASK, one of them")
    if options.task and options.task != "text":
        for option in SETTINGS:
            if getattr(options, option) is not None:
                raise UsageError(
                    f"--{option} {getattr(options, option)} goes with --input; the texts of task "
                    f"{options.task} are fixed, so that results stay comparable"
                )


def modules_to_import(options: argparse.Namespace) -> list[str]:
    """Returns the modules that register what the options' gin files and bindings name."""
    return [*(["t5_imports"] if options.gin_file else []), *options.module_import]


def prepare_imports() -> None:
    """Captures TensorFlow's import messages and installs Primer's import hook."""
    from primer.common import console
    from primer.runtime import import_hook

    console.capture_startup()
    import_hook.install()


def _configure_gin(options):
    """Applies gin files, then bindings, then the options that set `text_files`."""
    import gin

    from primer.gin_config import absolute_paths, findings, gin_errors

    for folder in findings.installed_folders():
        gin.add_config_file_search_path(folder)
    try:
        for path in options.gin_file:
            # The files may bind configurables that are not imported here (layers, a trainer).
            gin.parse_config_file(train.require_gin_file(path), skip_unknown=True)
        gin.parse_config(options.gin_param)
    except (ValueError, SyntaxError, ImportError, OSError) as error:
        raise gin_errors.as_usage_error(error) from error
    for option, setting in SETTINGS.items():
        if getattr(options, option) is not None:
            gin.bind_parameter(f"text_files.{setting}", getattr(options, option))
    absolute_paths.make_absolute()


def _task_name(name):
    """A task's full name; for the name of a file in datasets/, the task that the file uses."""
    return {file: task for task, file in train.dataset_of_task().items()}.get(name, name)


def _bind_vocabulary(name):
    import gin

    from primer.data.vocabularies import task_vocabulary

    if name is None:
        return
    if name in task_vocabulary.vocabulary_names():
        gin.bind_parameter("task_vocabulary.name", name)
        return
    if not os.path.exists(name) and not user_paths.is_remote(name):
        raise UsageError(
            f"--vocabulary {name}: there is no such file; expected a SentencePiece model, a "
            f"tokenizer.json or one of {', '.join(task_vocabulary.vocabulary_names())}"
        )
    path = user_paths.absolute(name)
    is_tokenizer = path.endswith(".json") or os.path.isdir(path)
    kind = "huggingface" if is_tokenizer else "sentencepiece"
    gin.bind_parameter("task_vocabulary.name", kind)
    gin.bind_parameter("task_vocabulary.model_file", path)


@contextlib.contextmanager
def _errors_named_as_options(options):
    """Replaces the names of settings in errors by the options of `--input` that set them."""
    try:
        yield
    except UsageError as error:
        message = str(error)
        if options.input:
            for option, setting in SETTINGS.items():
                message = re.sub(rf"text_files\.{setting} = '(\w+)'", rf"--{option} \1", message)
                message = message.replace(f"text_files.{setting}", f"--{option}")
        raise type(error)(message) from error
