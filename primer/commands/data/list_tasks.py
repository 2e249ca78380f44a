"""`primer data list`: all tasks, whether their data are on this machine, and what brings them."""

import dataclasses
import importlib
import json

from primer.commands import options as shared
from primer.errors import UsageError

WIDTH = 140  # Where the output is no terminal.

_SUFFIXES = ("bytes", "kB", "MB", "GB", "TB")


def add_arguments(parser):
    """Adds the arguments of the command to its parser."""
    shared.add_gin_param(parser, example="local_data.folder = '/data'")
    shared.add_module_import(parser, purpose=", whose tasks are shown too")
    shared.add_tfds_data_dir(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options) -> int:
    """Prints a row for each task; looks at names and sizes of files, never at the network."""
    # Not at the top: these import TensorFlow, whose notices are not what was asked for.
    from primer.common import console as logs
    from primer.runtime import import_hook

    logs.capture_early()
    import_hook.install()
    try:
        rows = _rows(options)
    finally:
        logs.drop_early()
    if options.json:
        print(json.dumps({row.pop("task"): row for row in rows}, indent=2))
    else:
        show_table(rows)
    return 0


def _rows(options) -> list[dict]:
    """A dictionary for each task: task, splits, state, bytes, place, way_out."""
    import gin

    from primer.gin_config import gin_errors, isolation

    for name in ["t5_imports", *options.module_import]:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"--module_import={name}: {error}") from error
    with isolation.isolated():
        try:
            gin.parse_config(options.gin_param)
        except (ValueError, SyntaxError) as error:
            raise gin_errors.as_usage_error(error) from error
        return [_row(task, options.t5_tfds_data_dir) for task in _tasks()]


def _tasks() -> list:
    """The project's tasks, then those that the user's modules have registered."""
    import seqio

    from primer.data import tasks

    others = sorted(set(seqio.TaskRegistry.names()) - set(tasks.NAMES))
    return [seqio.TaskRegistry.get(name) for name in (*tasks.NAMES, *others)]


def _row(task, data_dir) -> dict:
    look = getattr(task.source, "describe_availability", None)
    found = look(data_dir) if look else None
    facts = {"state": "unknown", "place": "", "bytes": 0, "way_out": ""}
    if found:
        facts = dataclasses.asdict(found)
        facts["way_out"] = facts.pop("hint")  # The name that --json has always had.
    return {"task": task.name, "splits": list(task.splits), **facts}


def show_table(rows, file=None):
    """Prints the rows as a table.

    Args:
        rows: of `_rows`.
        file: where; standard output unless given.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console = Console(file=file, highlight=False, width=WIDTH)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Task", "Data", "Size", "Where they are, or what brings them"):
        # Commands and addresses are to be copied: folded, never shortened.
        table.add_column(name, overflow="fold", justify="right" if name == "Size" else "left")
    for row in rows:
        cells = (row["task"], row["state"], format_size(row["bytes"]), _where(row))
        table.add_row(*map(Text, cells))  # Not str, in which [words] would be markup.
    console.print(table)


def _where(row) -> str:
    return f"{row['place']}\n{row['way_out']}".strip()


def format_size(number: int) -> str:
    """A number of bytes in the unit that leaves up to three digits before the point."""
    value = float(number)
    for suffix in _SUFFIXES:
        if value < 1000 or suffix == _SUFFIXES[-1]:
            break
        value /= 1000
    if not number:
        return ""
    return f"{number} bytes" if suffix == "bytes" else f"{value:.1f} {suffix}"
