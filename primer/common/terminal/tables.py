"""Tables for the terminal, and bytes, seconds and FLOPs as text."""

from collections.abc import Collection
from typing import IO, TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH = 140  # Of tables where the output is not a terminal.


def console(file: IO[str] | None = None) -> "Console":
    """Returns a console for tables, WIDTH columns wide where the output is not a terminal.

    Args:
        file: the output; None: standard output.
    """
    from rich.console import Console

    found = Console(file=file, highlight=False, markup=False)
    if not found.is_terminal:
        found = Console(file=file, highlight=False, markup=False, width=WIDTH)
    return found


def table(title: str, *columns: str, words: Collection[str] = ()) -> "Table":
    """Returns a table without rows.

    Args:
        title: the line above it.
        columns: the names of the columns; one called "layer" is never wrapped.
        words: those with words; numbers are on the right.
    """
    from rich import box
    from rich.table import Table

    result = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        justify: Literal["left", "right"] = "left" if column in words else "right"
        result.add_column(column, justify=justify, overflow="fold", no_wrap=column == "layer")
    return result


def size(number: float) -> str:
    """Returns bytes as text, in GiB, MiB or KiB."""
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if number >= scale:
            return f"{number / scale:,.2f} {unit}"
    return f"{number:,.0f} B"


def seconds(number: float) -> str:
    """Returns a time as text, in s, ms or us."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if number >= scale:
            return f"{number / scale:,.3g} {unit}"
    return "0"


def flops(number: float) -> str:
    """Returns a number of FLOPs as text."""
    for unit, scale in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:,.4g} {unit}"
    return f"{number:,.0f}"
