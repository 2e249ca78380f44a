"""The command `primer`: short options, checks and tables over the engine `t5_mesh_transformer`.

A subcommand is a module of `primer.commands` with `add_arguments(parser)` and `run(options)`. Only
the called one is imported, so that `primer --help` imports no TensorFlow.
"""

import argparse
import contextlib
import importlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType, ModuleType
from typing import NoReturn

from primer import __version__
from primer.errors import RunError, UsageError

# Subcommand, a module of `primer.commands` -> its summary.
COMMANDS = {
    "train": "train a model on a task",
    "eval": "evaluate checkpoints on a whole split",
    "score": "write the log-probability of documents and of their tokens",
    "average": "average checkpoints of a run",
    "generate": "continue prompts with a trained model",
    "export": "write a trained model as files for other programs",
    "import": "make a model directory of a Hugging Face model",
    "export-metrics": "write the numbers of a run's TensorBoard events as a table",
    "data": "inspect text, build vocabularies, prepare data for training",
    "check": "show what gin files build, and which settings take no effect",
    "plan": "compute the memory, the time and the collectives of a run on a mesh of chips",
    "profile": "measure where the time of a step goes, by layer and kind of operation",
    "plot": "draw learning-rate schedules",
    "sweep": "train and evaluate the runs of a YAML file of axes, several at a time",
    "ladder": "compare changes of a model at several sizes, with rates and batches that follow",
    "report": "compare evaluated runs over seeds, with intervals, on one page",
    "demo": "compare Primer, Primer-EZ, the vanilla Transformer and Qwen3, trained here",
}

# Subcommand -> its module of `primer.commands`, where that has another name.
MODULES = {
    "export": "exchange.export",
    "export-metrics": "exchange.export_metrics",
    "import": "exchange.import_model",
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command line and exits with its code: 0, 1 for failed work, 2 for misuse.

    Ctrl-C and SIGTERM end the work at once, and remove files that are not complete.

    Args:
        arguments: the words after `primer`; None: those of the process.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser(words).parse_args(words)
    try:
        with _sigterm_raised():
            code = _command_module(options.command).run(options) or 0
    except (UsageError, RunError) as error:
        _say(str(error).splitlines()[0])  # gin adds lines about the configurable.
        code = error.exit_code
    except KeyboardInterrupt:
        _say("interrupted")
        code = 130
    except _Terminated:
        _say("ended by SIGTERM")
        code = 128 + signal.SIGTERM
    sys.exit(code)


class _Terminated(BaseException):
    """SIGTERM; not an Exception, for the reasons of KeyboardInterrupt."""


@contextlib.contextmanager
def _sigterm_raised() -> Iterator[None]:
    """Raises _Terminated at SIGTERM, which without a handler leaves unfinished files behind.

    Training has its own handler. Python allows handlers only in the main thread.
    """

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(message: str) -> None:
    from primer.common import console

    console.say(f"primer: {message}")


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Returns the parser; only the called subcommand has its arguments, as its module is slow."""
    parser = argparse.ArgumentParser(
        prog="primer",
        description="Language-model architecture experiments on the T5 / Mesh-TensorFlow stack.",
        epilog="Commands on a model print the t5_mesh_transformer command that does the same.",
    )
    parser.add_argument("--version", action="version", version=f"primer {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        if name in words[:1]:
            _command_module(name).add_arguments(subparser)
    return parser


def _command_module(name: str) -> ModuleType:
    return importlib.import_module(f"primer.commands.{MODULES.get(name, name)}")


if __name__ == "__main__":
    main()
