"""The command `primer`: a friendlier front to `t5_mesh_transformer`.

Nothing here imports TensorFlow: `primer --help` answers at once. A subcommand is a module of
`primer.commands` with `add_arguments(parser)` and `run(options)`, imported when it is called.
"""

import argparse
import importlib
import sys

from primer import __version__
from primer.errors import RunError, UsageError

COMMANDS = {
    "train": "train a model on a task",
    "eval": "evaluate checkpoints on a whole split",
    "score": "write the log-probability of documents and of their tokens",
    "average": "average checkpoints of a run",
    "generate": "continue prompts with a trained model",
    "data": "look at text, make vocabularies of it, prepare it for training",
    "check": "show what gin files build, and which settings take no effect",
    "demo": "train Primer, Primer-EZ and the vanilla Transformer, and compare them",
}


def main(arguments=None):
    """Runs a command line and exits with its code: 0, 1 for failed work, 2 for misuse.

    Args:
        arguments: the words after `primer`; those of the process unless given.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser(words).parse_args(words)
    try:
        code = _module(options.command).run(options) or 0
    except (UsageError, RunError) as error:
        _say(error)
        code = error.exit_code
    except KeyboardInterrupt:
        _say("interrupted")
        code = 130
    sys.exit(code)


def _say(message):
    from primer.common import console

    console.say(f"primer: {message}")


def _parser(words):
    """The parser; of the subcommands' own arguments only those of the called one are read in."""
    parser = argparse.ArgumentParser(
        prog="primer",
        description="Language-model architecture experiments on the T5 / Mesh-TensorFlow stack.",
        epilog="Each command prints the t5_mesh_transformer command that it stands for.",
    )
    parser.add_argument("--version", action="version", version=f"primer {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(
            name, help=summary, description=summary.capitalize() + "."
        )
        if name in words[:1]:
            _module(name).add_arguments(subparser)
    return parser


def _module(name):
    return importlib.import_module(f"primer.commands.{name}")


if __name__ == "__main__":
    main()
