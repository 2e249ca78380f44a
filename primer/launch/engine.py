"""The command line of `t5_mesh_transformer`: built, printed, and run in this process.

One list of arguments serves both, so that the printed command is the one that runs.
"""

import contextlib
import json
import logging
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from primer.checkpoints import saved_config
from primer.common import console
from primer.gin_config import trust as trusted_config
from primer.runtime import import_hook

SCRIPT = "t5_mesh_transformer"


def shell_command(arguments: Sequence[str]) -> str:
    """Returns the shell command that passes these arguments, one on each line, quoted."""
    return " \\\n    ".join([SCRIPT, *map(shlex.quote, arguments)])


def gin_literal(value: Any) -> str:
    """Returns a value in gin's syntax; strings get double quotes, to survive a shell's single ones.

    Args:
        value: a number, string, bool, dict, or a list or tuple of such.
    """
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(gin_literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def gin_bindings(settings: Mapping[str, Any]) -> list[str]:
    """Returns a gin binding `name = value` for each setting whose value is not None."""
    return [
        f"{name} = {gin_literal(value)}" for name, value in settings.items() if value is not None
    ]


def arguments_for_model_dir(
    model_dir: str,
    gin_file: str,
    bindings: Sequence[str],
    module_import: Sequence[str] = (),
    t5_tfds_data_dir: str | None = None,
    trust: Sequence[str] = (),
) -> list[str]:
    """Returns the arguments of `t5_mesh_transformer` that run a mode on a trained model.

    Args:
        model_dir: the model's directory.
        gin_file: the file of gin/run that sets the mode.
        bindings: gin bindings, as in "protocol.name = 'packed'"; a later one overrides.
        module_import: further Python modules to import.
        t5_tfds_data_dir: the value of t5's flag of that name.
        trust: what the directory's configuration may import or include besides Primer's packages
            and the modules of `module_import`.

    Raises:
        UsageError: the directory does not exist or has no configuration of a model, or one that
            imports or includes something that is not trusted.
    """
    config_file = saved_config.config_file(model_dir)
    trusted_config.check_config(config_file, [*module_import, *trust])
    arguments = [
        *(f"--module_import={name}" for name in ["t5_imports", *module_import]),
        f"--model_dir={model_dir}",
        f"--gin_file={config_file}",
        f"--gin_file={gin_file}",
        *(f"--gin_param={binding}" for binding in bindings),
    ]
    if t5_tfds_data_dir:
        arguments.append(f"--t5_tfds_data_dir={t5_tfds_data_dir}")
    return arguments


def print_and_run(arguments: Sequence[str]) -> int:
    """Prints the command on standard error, runs it, and returns its exit code."""
    print_command(arguments)
    return run_main(arguments)


def print_command(arguments: Sequence[str]) -> None:
    """Prints the command on standard error; standard output is for results."""
    console.say(shell_command(arguments) + "\n")


def run_main(arguments: Sequence[str]) -> int:
    """Runs t5's main with these arguments in this process and returns the exit code.

    Restores gin's configuration and absl's flags, so that several calls do not affect each other.
    """
    with _argv([SCRIPT, *arguments]), _null_root_handler():
        main, flags = _import_t5_main()
        from absl.testing import flagsaver

        from primer.gin_config import isolation

        before = flagsaver.save_flag_values()
        try:
            with isolation.isolated():
                flags.FLAGS(sys.argv)
                main([SCRIPT])
        except flags.Error as error:
            console.say(f"primer: {error}")
            console.discard_startup()
            return 2
        except SystemExit as end:
            return _exit_code(end.code)
        finally:
            flagsaver.restore_flag_values(before)
    return 0


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    return code if isinstance(code, int) else 1


def _import_t5_main():
    """Returns t5's main, prepared as t5's console script prepares it, and absl's flags module."""
    # A checkout on PYTHONPATH has no .pth file that installs the hook at start-up.
    import_hook.install()
    # Before TensorFlow, so that the hook captures what TensorFlow prints while it is imported.
    from t5.models import mesh_transformer_main

    # isort: split
    import tensorflow.compat.v1 as tf
    from absl import flags

    tf.disable_v2_behavior()
    return mesh_transformer_main.main, flags


@contextlib.contextmanager
def _argv(words: list[str]) -> Iterator[None]:
    """Sets sys.argv inside the block: t5 writes it to `model_dir/commands`."""
    before = sys.argv
    sys.argv = words
    try:
        yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def _null_root_handler() -> Iterator[None]:
    """Keeps gin's errors about folders of its search path that lack a file off the terminal."""
    root = logging.getLogger()
    before = root.handlers[:]
    if not before:
        root.addHandler(logging.NullHandler())
    try:
        yield
    finally:
        root.handlers[:] = before
