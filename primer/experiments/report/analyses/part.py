"""A part of a section: sentences, tables and figures for the page, and the same as numbers."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        heads: {key: head} of its columns.
        rows: {key: text} of each of its rows.
    """

    heads: Mapping[str, str]
    rows: Sequence[Mapping[str, str]]


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a section.

    Attributes:
        name: the name of its numbers in the JSON.
        title: its heading.
        tables: its tables.
        sentences: what stands below the tables: remarks, and why something is not there.
        figures: {name of the file: (caption, PNG)}.
        files: {name of the CSV: its rows}; the rows of a name have the same keys in all sections.
        definitions: what its numbers mean, once for a page.
    """

    name: str
    title: str
    tables: Sequence[Table] = ()
    sentences: Sequence[str] = ()
    figures: Mapping[str, tuple[str, bytes]] = dataclasses.field(default_factory=dict)
    files: Mapping[str, Rows] = dataclasses.field(default_factory=dict)
    definitions: Sequence[str] = ()


def number(value: float, template: str = "{:.4g}") -> str:
    """Returns a number as text, "-" for nan, with true minus signs: it may stand beside "to"."""
    return "-" if math.isnan(value) else template.format(value).replace("-", "\u2212")


def interval(low: float, high: float, template: str = "{:.4g}") -> str:
    """Returns an interval as text: "1.2 to 3.4", "below 3", "no bound", or "-" for nan."""
    if math.isnan(low) or math.isnan(high):
        return "-"
    if math.isinf(low) and math.isinf(high):
        return "no bound"
    if math.isinf(low):
        return f"below {number(high, template)}"
    if math.isinf(high):
        return f"above {number(low, template)}"
    return f"{number(low, template)} to {number(high, template)}"


def count(value: float) -> str:
    """Returns a count with a unit prefix: 1234567 -> "1.23M"; "-" for nan."""
    if math.isnan(value):
        return "-"
    for unit, size in (
        *(("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)),
    ):
        if value >= 0.9995 * size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
