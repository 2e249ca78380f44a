"""`primer data list`: all tasks, whether their data are on this machine, and how to get them."""

import argparse
import dataclasses
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

from primer.commands import options as shared
from primer.commands.data import text_options
from primer.planning.plans import engine_imports

if TYPE_CHECKING:
    import seqio

WIDTH = 140  # Of the table, when the output is not a terminal.

_SUFFIXES = ("bytes", "kB", "MB", "GB", "TB")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    shared.add_gin_param(parser, example="local_data.folder = '/data'")
    shared.add_module_import(parser, purpose=", whose tasks are shown too")
    shared.add_tfds_data_dir(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Prints a row for each task, from the names and sizes of local files; uses no network."""
    # Not at the top of the module: it imports TensorFlow.
    from primer.common import console

    text_options.prepare_imports()
    try:
        rows = _rows(options)
    finally:
        console.discard_startup()
    if options.json:
        print(json.dumps({row["task"]: _as_json(row) for row in rows}, indent=2))
    else:
        show_table(rows)
    return 0


def _rows(options) -> list[dict[str, Any]]:
    """A dictionary for each task: task, splits, state, bytes, place, hint."""
    import gin

    from primer.gin_config import gin_errors, isolation

    engine_imports.import_modules(["t5_imports", *options.module_import])
    with isolation.isolated():
        try:
            gin.parse_config(options.gin_param)
        except (ValueError, SyntaxError) as error:
            raise gin_errors.as_usage_error(error) from error
        return [_row(task, options.t5_tfds_data_dir) for task in _tasks()]


def _tasks() -> "list[seqio.Task]":
    """The project's tasks, then those that the user's modules registered."""
    import seqio

    from primer.data import tasks

    others = sorted(set(seqio.TaskRegistry.names()) - set(tasks.NAMES))
    return [seqio.TaskRegistry.get(name) for name in (*tasks.NAMES, *others)]


def _row(task, data_dir) -> dict[str, Any]:
    describe = getattr(task.source, "describe_availability", None)
    availability = describe(data_dir) if describe else None
    facts = {"state": "unknown", "place": "", "bytes": 0, "hint": ""}
    if availability:
        facts = dataclasses.asdict(availability)
    return {"task": task.name, "splits": list(task.splits), **facts}


def _as_json(row) -> dict[str, Any]:
    """The row in the format of --json, whose key for the hint is "way_out"."""
    names = {"hint": "way_out"}
    return {names.get(key, key): value for key, value in row.items() if key != "task"}


def show_table(rows: Iterable[dict[str, Any]], file: TextIO | None = None) -> None:
    """Prints the rows as a table.

    Args:
        rows: dictionaries with the keys task, state, bytes, place and hint.
        file: receives the table; None for standard output.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from primer.commands.data import tables

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Task", "Data", "Size", "Where they are, or how to get them"):
        # Commands and addresses are copied by users: folded, never shortened.
        table.add_column(name, overflow="fold", justify="right" if name == "Size" else "left")
    for row in rows:
        cells = (row["task"], row["state"], format_size(row["bytes"]), _where(row))
        table.add_row(*map(Text, cells))
    tables.make_terminal(file, WIDTH).print(table)


def _where(row) -> str:
    return f"{row['place']}\n{row['hint']}".strip()


def format_size(number: int) -> str:
    """Returns a number of bytes in the unit that gives up to three integer digits; "" for 0."""
    value = float(number)
    for suffix in _SUFFIXES:
        if value < 1000 or suffix == _SUFFIXES[-1]:
            break
        value /= 1000
    if not number:
        return ""
    return f"{number} bytes" if suffix == "bytes" else f"{value:.1f} {suffix}"
