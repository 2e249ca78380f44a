"""From a command of `primer` to t5's main: the line that is printed, and the call of the same.

Both are made of one list of arguments, so that what is printed is what runs.
"""

import contextlib
import json
import logging
import shlex
import sys

from primer.checkpoints import saved_config
from primer.common import console
from primer.runtime import import_hook

SCRIPT = "t5_mesh_transformer"


def shell_command(arguments) -> str:
    """The shell command that stands for the arguments, one of them a line, ready to be copied."""
    return " \\\n    ".join([SCRIPT, *map(shlex.quote, arguments)])


def gin_literal(value) -> str:
    """A value as gin reads it; with double quotes, which a shell's single ones leave alone."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(gin_literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def gin_bindings(settings) -> list:
    """gin's bindings of {name: value}; None is left to gin."""
    return [
        f"{name} = {gin_literal(value)}" for name, value in settings.items() if value is not None
    ]


def arguments_for_model_dir(
    model_dir, gin_file, bindings, module_import=(), t5_tfds_data_dir=None
) -> list:
    """The arguments of `t5_mesh_transformer` that do something with a trained model.

    Args:
        model_dir: its directory.
        gin_file: what is done, one of gin/run.
        bindings: gin's, as in "protocol.name = 'packed'"; later ones count.
        module_import: further modules to import.
        t5_tfds_data_dir: as t5's flag.

    Raises:
        UsageError: the directory is not there or says nothing of its model.
    """
    arguments = [
        *(f"--module_import={name}" for name in ["t5_imports", *module_import]),
        f"--model_dir={model_dir}",
        f"--gin_file={saved_config.config_file(model_dir)}",
        f"--gin_file={gin_file}",
        *(f"--gin_param={binding}" for binding in bindings),
    ]
    if t5_tfds_data_dir:
        arguments.append(f"--t5_tfds_data_dir={t5_tfds_data_dir}")
    return arguments


def print_command(arguments):
    """Prints the command on standard error; standard output is left to results."""
    console.say(shell_command(arguments) + "\n")


def run_main(arguments) -> int:
    """Runs t5's main with these arguments in this process; returns the exit code.

    gin's configuration and absl's flags are as before afterwards, so that the next call starts
    from nothing.
    """
    with _argv([SCRIPT, *arguments]), _quiet_root():
        main, flags = _engine()
        from absl.testing import flagsaver

        from primer.gin_config import isolation

        before = flagsaver.save_flag_values()
        try:
            with isolation.isolated():
                flags.FLAGS(sys.argv)
                main([SCRIPT])
        except flags.Error as error:
            console.say(f"primer: {error}")
            console.drop_early()
            return 2
        except SystemExit as end:
            return _exit_code(end.code)
        finally:
            flagsaver.restore_flag_values(before)
    return 0


def _exit_code(code) -> int:
    if code is None:
        return 0
    return code if isinstance(code, int) else 1


def _engine():
    """t5's main as its console script prepares it, and absl's flags."""
    # The environment's .pth file has done this already; a checkout on PYTHONPATH has none.
    import_hook.install()
    # Before TensorFlow, so that the hook catches what that writes while it is imported.
    from t5.models import mesh_transformer_main

    # isort: split
    import tensorflow.compat.v1 as tf
    from absl import flags

    tf.disable_v2_behavior()
    return mesh_transformer_main.main, flags


@contextlib.contextmanager
def _argv(words):
    """t5 notes sys.argv in `model_dir/commands`, where it should be what was printed."""
    before = sys.argv
    sys.argv = words
    try:
        yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def _quiet_root():
    """Keeps gin's errors about search paths, where the next one has the file, off the terminal."""
    root = logging.getLogger()
    before = root.handlers[:]
    if not before:
        root.addHandler(logging.NullHandler())
    try:
        yield
    finally:
        root.handlers[:] = before
