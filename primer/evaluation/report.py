"""Tables of evaluated checkpoints on the terminal: of one run, and the best of several."""

import math
import os
from collections.abc import Sequence
from typing import Any, TextIO

from primer.common.settings import evaluation_settings

# The share of the scored tokens that are the model's first choice, and their number.
ACCURACY, CORRECT = "accuracy", "correct"
# What is counted as tokens, where it is not all tokens.
COUNTED = "counted"
# Key of a row -> (head of its column, format).
COLUMNS = {
    "step": ("step", "{:,}"),
    "training_flops": ("training\nFLOPs", "{:.2e}"),
    "nats_per_token": ("nats\nper token", "{:.4f}"),
    "standard_error": ("standard\nerror", "{:.4f}"),
    ACCURACY: (ACCURACY, "{:.2%}"),
    "perplexity_per_token": ("perplexity\nper token", "{:,.2f}"),
    "bits_per_byte": ("bits\nper byte", "{:.4f}"),
    "bits_per_character": ("bits per\ncharacter", "{:.4f}"),
    "perplexity_per_word": ("perplexity\nper word", "{:,.1f}"),
}
COUNTS = ("tokens", "bytes", "characters", "words", "documents")
AS_RELEASED = "as_released"  # The protocol whose documents are rows.
MASKED = "masked"  # The protocol that counts a part of the tokens.
BEST = "* the lowest loss of these."
FIRST_CHOICES = "Accuracy: the share of the counted tokens that are the model's first choice."
ERRORS = "Standard errors are of each loss over documents, not of the differences between the rows."
# Equal for all rows of the same text, whatever the vocabulary.
TEXT_COUNTS = ("bytes", "characters", "words")
WIDTH, _WIDEST = 100, 400  # Where the output is not a terminal: of text, and of tables at most.
# What the rows of a table can be ordered by -> the key of a row. Rows without it are the last.
ORDERS = evaluation_settings.ORDERS

# The type of the model's activations. Where it is not float32, a row's "configuration" differs from
# that of float32, so that no result counts for another type.
ACTIVATION_DTYPE, FLOAT32 = "activation_dtype", "float32"

Row = dict[str, Any]


def print_checkpoints(
    title: str, rows: Sequence[Row], file: TextIO | None = None, order_by: str = "step"
) -> None:
    """Prints the rows of one run as a table, marks the best, and says what was counted.

    Args:
        title: the line above the table.
        rows: dicts with keys of COLUMNS and COUNTS, all of the same text, and "how", a sentence on
            how it was cut.
        file: the output; None for standard output.
        order_by: a name of ORDERS.
    """
    rows = ordered(rows, order_by)
    best = best_row(rows) if len(rows) > 1 else None
    notes = [f"{rows[-1]['how']} {describe_counts(rows[-1])}"]
    if len(rows) > 1 and any(math.isfinite(row.get("standard_error", math.nan)) for row in rows):
        notes.insert(0, ERRORS)
    if any(ACCURACY in row for row in rows):
        notes.insert(0, FIRST_CHOICES)
    _print(title, [(None, row) for row in rows], best, notes, file)


def print_comparison(
    rows: Sequence[Row], file: TextIO | None = None, order_by: str | None = None
) -> None:
    """Prints the best checkpoint of each of several model directories.

    The table has no standard errors: those of the losses are not those of their differences, which
    `primer.evaluation.paired.difference_table` prints.

    Args:
        rows: those of all directories, as for `print_checkpoints`, with "model_dir".
        file: the output; None for standard output.
        order_by: a name of ORDERS; None for the order of the directories.
    """
    named = best_of_each(rows)
    if order_by:
        names = {id(row): name for name, row in named}
        named = [(names[id(row)], row) for row in ordered([row for _, row in named], order_by)]
    best_rows = [row for _, row in named]
    notes: dict[str, list[str]] = {}
    for name, row in named:
        notes.setdefault(f"{row['how']} {describe_counts(row)}", []).append(name)
    lines = [f"{', '.join(names)}: {note}" for note, names in notes.items()]
    difference = find_difference(best_rows)
    if difference:
        lines.append(f"Not to be compared: {difference}.")
    if any(ACCURACY in row for row in best_rows):
        lines.insert(0, FIRST_CHOICES)
    best = None if difference else best_row(best_rows, "nats")
    units = [key for key in COLUMNS if key != "standard_error"]
    _print("The best checkpoint of each", named, best, lines, file, units)


def ordered(rows: Sequence[Row], order_by: str) -> list[Row]:
    """Returns the rows in ascending order of a number, those without it at the end.

    Args:
        rows: the rows; equal ones keep their order.
        order_by: a name of ORDERS.

    Raises:
        UsageError: another name.
    """
    evaluation_settings.check_order(order_by)
    numbers = ((row.get(ORDERS[order_by], math.nan), row) for row in rows)
    pairs = [(math.inf if math.isnan(number) else number, row) for number, row in numbers]
    return [row for _, row in sorted(pairs, key=lambda pair: pair[0])]


def best_of_each(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Returns (short name, best row) of each model directory, in the order of the rows."""
    directories = list(dict.fromkeys(row["model_dir"] for row in rows))
    groups = ([row for row in rows if row["model_dir"] == name] for name in directories)
    best_rows = [best_row(own) or own[-1] for own in groups]
    return list(zip(short_names(directories), best_rows, strict=True))


def find_difference(rows: Sequence[Row]) -> str | None:
    """Returns the reason why the numbers of rows are not comparable, or None if they are."""
    for key in ("split", "protocol"):
        values = list(dict.fromkeys(str(row.get(key)) for row in rows))
        if len(values) > 1:
            return f"the {key} is {' and '.join(values)}"
    for key in TEXT_COUNTS:
        counts = dict.fromkeys(row[key] for row in rows if _is_count(row.get(key)))
        if len(counts) > 1:
            return f"the texts have {' and '.join(f'{count:,}' for count in counts)} {key}"
    types = list(dict.fromkeys(map(activation_dtype, rows)))
    if len(types) > 1:
        return f"the activations are {' and '.join(types)}"
    checksums = dict.fromkeys(str(row.get("text_checksum")) for row in rows)
    if len(checksums) > 1 and not all(_is_count(row.get("bytes")) for row in rows):
        return f"the tokens differ (checksums {' and '.join(checksums)}), and no bytes are known"
    return None


def activation_dtype(row: Row) -> str:
    """Returns the type of the activations that a row was computed with; of old rows, float32."""
    return str(row.get(ACTIVATION_DTYPE, FLOAT32))


def describe_counts(row: Row) -> str:
    """Returns a row's counts and checksum: "Over 4,810 tokens, 4,810 bytes, ..."."""
    names = {key: key for key in COUNTS}
    if row.get("protocol") == AS_RELEASED:
        names["documents"] = "rows"
    if row.get("protocol") == MASKED:
        names["tokens"] = "masked tokens"
    names["tokens"] = row.get(COUNTED, names["tokens"])
    counts = [
        f"{row[key]:,} {name if row[key] != 1 else name[:-1]}"
        for key, name in names.items()
        if _is_count(row.get(key))
    ]
    changed = ""
    if row.get("changed_documents"):
        changed = (
            f" ({row['changed_documents']:,} of which, {row['changed_bytes']:,} bytes, the "
            f"vocabulary does not give back: {row['unknown_tokens']:,} tokens are unknown)"
        )
    return f"Over {', '.join(counts)}{changed}; checksum {row['text_checksum']}."


def short_names(directories: Sequence[str]) -> list[str]:
    """Returns the shortest ends of paths that differ from each other."""
    parts = [os.path.normpath(path).split(os.sep) for path in directories]
    for length in range(1, max(map(len, parts), default=1) + 1):
        names = [os.sep.join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            break
    return names


def same_directory(first: str, second: str) -> bool:
    """Returns whether two paths are equal but for their spelling, as a/ and a/../a."""
    first, second = (os.path.normpath(os.path.expanduser(path)) for path in (first, second))
    return first == second


def best_row(rows: Sequence[Row], key: str = "nats_per_token") -> Row | None:
    """Returns the row of the lowest loss, or None if no loss is finite."""
    finite = [row for row in rows if math.isfinite(row[key])]
    return min(finite, key=lambda row: row[key]) if finite else None


def print_table(title: str, table: Any, lines: Sequence[str], file: TextIO | None) -> None:
    """Prints a title, a rich table and the lines below it.

    Args:
        title, lines: plain text.
        table: a `rich.table.Table`.
        file: the output; None for standard output.
    """
    from rich.console import Console
    from rich.measure import measure_renderables

    console = wide = Console(file=file, highlight=False)
    if not console.is_terminal:
        console = wide = Console(file=file, highlight=False, width=WIDTH)
        # In a file heads are whole, however many columns there are.
        options = console.options.update(max_width=_WIDEST)
        needed = measure_renderables(console, options, [table]).maximum
        wide = Console(file=file, highlight=False, width=max(WIDTH, needed))
    console.print(title, markup=False)
    wide.print(table, markup=False)
    if lines:
        console.print(*lines, sep="\n", markup=False)


def cell(value: float, template: str) -> str:
    """Formats a number: "-" for nan, two significant digits from a million on."""
    if isinstance(value, float) and math.isnan(value):
        return "-"
    if isinstance(value, float) and abs(value) >= 1e6:
        return f"{value:.1e}"
    return template.format(value)


def _print(title, named, best, lines, file, columns=tuple(COLUMNS)):
    """Prints the title, the table of (name or None, row) and the lines below it."""
    lines = lines if best is None else [BEST, *lines]
    print_table(title, _table(named, best, columns), lines, file)


def _table(named, best, columns):
    from rich.table import Table

    columns = [key for key in columns if any(key in row for _, row in named)]
    table = Table()
    if named[0][0] is not None:
        table.add_column("model", overflow="fold")
    for key in columns:
        table.add_column(COLUMNS[key][0], justify="right", no_wrap=True)
    for name, row in named:
        cells = [cell(row.get(key, math.nan), COLUMNS[key][1]) for key in columns]
        if row is best:
            cells[0] += " *"
        table.add_row(*([] if name is None else [name]), *cells)
    return table


def _is_count(value):
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
