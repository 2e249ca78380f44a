"""`primer data`: what becomes of text before anything is trained; one module a subcommand."""

import importlib

# name -> (what it does, the module with add_arguments(parser) and run(options)).
COMMANDS = {
    "list": ("show all tasks, and whether their data are here", "list_tasks"),
    "vocabulary": ("make a vocabulary from a training split", "vocabulary"),
    "inspect": ("show what a task's texts are, and what the model sees of them", "inspect"),
    "prepare": ("tokenize a task's texts into records for training", "prepare"),
    "text8": ("make text8 from enwik8", "text8"),
}


def add_arguments(parser):
    """Adds the subcommands to the command's parser."""
    subparsers = parser.add_subparsers(dest="data_command", metavar="COMMAND", required=True)
    for name, (summary, module) in COMMANDS.items():
        subparser = subparsers.add_parser(
            name, help=summary, description=summary.capitalize() + "."
        )
        _module(module).add_arguments(subparser)


def run(options) -> int:
    """Runs the subcommand; returns its exit code."""
    _, module = COMMANDS[options.data_command]
    return _module(module).run(options)


def _module(name):
    return importlib.import_module(f"primer.commands.data.{name}")
