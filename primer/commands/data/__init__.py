"""`primer data`: commands for text and vocabularies before training; one module per subcommand."""

import argparse
import importlib
import types

# name -> (summary, the module with add_arguments(parser) and run(options)).
COMMANDS = {
    "list": ("show all tasks, and whether their data are here", "list_tasks"),
    "vocabulary": ("make a vocabulary from a training split", "vocabulary"),
    "inspect": ("show what a task's texts are, and what the model sees of them", "inspect"),
    "prepare": ("tokenize a task's texts into records for training", "prepare"),
    "text8": ("make text8 from enwik9", "text8"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands to the command's parser."""
    subparsers = parser.add_subparsers(dest="data_command", metavar="COMMAND", required=True)
    for name, (summary, module) in COMMANDS.items():
        subparser = subparsers.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        _module(module).add_arguments(subparser)


def run(options: argparse.Namespace) -> int:
    """Runs the subcommand; returns its exit code."""
    _, module = COMMANDS[options.data_command]
    return _module(module).run(options)


def _module(name: str) -> types.ModuleType:
    return importlib.import_module(f"primer.commands.data.{name}")
