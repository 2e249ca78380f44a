"""From a command of `primer` to t5's main: the line that is printed, and the call of the same.

Both are made of one list of arguments, so that what is printed is what runs.
"""

import contextlib
import os
import shlex
import sys

SCRIPT = "t5_mesh_transformer"


def line(arguments) -> str:
    """The shell command that stands for the arguments, one of them a line, ready to be copied."""
    return " \\\n    ".join([SCRIPT, *map(shlex.quote, arguments)])


def show(arguments):
    """Prints the command on standard error; standard output is left to results."""
    print(line(arguments) + "\n", file=sys.stderr, flush=True)


def call(arguments) -> int:
    """Runs t5's main with these arguments in this process; returns the exit code.

    gin's configuration and absl's flags are as before afterwards, so that the next call starts
    from nothing.
    """
    with _argv([SCRIPT, *arguments]):
        main, flags = _engine()
        from absl.testing import flagsaver

        from primer.evaluation import gin_state

        with gin_state.isolated():
            before = flagsaver.save_flag_values()
            try:
                flags.FLAGS(sys.argv)
                main([SCRIPT])
            except flags.Error as error:
                print(f"primer: {error}", file=sys.stderr)
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
    from primer.runtime import hook

    # The environment's .pth file has done this already; a checkout on PYTHONPATH has none.
    hook.install()
    import tensorflow.compat.v1 as tf
    from absl import flags
    from t5.models import mesh_transformer_main

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


def absolute(path) -> str:
    """A local path made absolute; a remote one (`gs://...`) as it is."""
    return path if "://" in path else os.path.abspath(path)
