"""Tables of evaluated checkpoints on the terminal: of one run, and the best of several."""

import math
import os

# Key of a row -> (head of its column, format).
COLUMNS = {
    "step": ("step", "{:,}"),
    "nats_per_token": ("nats\nper token", "{:.4f}"),
    "standard_error": ("standard\nerror", "{:.4f}"),
    "perplexity_per_token": ("perplexity\nper token", "{:,.2f}"),
    "bits_per_byte": ("bits\nper byte", "{:.4f}"),
    "bits_per_character": ("bits per\ncharacter", "{:.4f}"),
    "perplexity_per_word": ("perplexity\nper word", "{:,.1f}"),
}
COUNTS = ("tokens", "bytes", "characters", "words", "documents")
AS_RELEASED = "as_released"  # Its documents are rows.
BEST = "* the lowest loss of these."
SHARED_COUNTS = ("bytes", "characters", "words")
WIDTH = 100


def show(title, rows, file=None):
    """Prints the rows of one run, the best marked, and what they are numbers of.

    Args:
        title: above the table.
        rows: dicts with keys of COLUMNS and COUNTS, all of the same text, and "how", a sentence on
            how it was cut.
        file: where; standard output unless given.
    """
    best = best_row(rows) if len(rows) > 1 else None
    _print(
        title, [(None, row) for row in rows], best, [f"{rows[-1]['how']} {counted(rows[-1])}"], file
    )


def compare(rows, file=None):
    """Prints the best checkpoint of each of several model directories.

    Args:
        rows: of all of them, as for `show`, with "model_dir".
        file: where; standard output unless given.
    """
    directories = list(dict.fromkeys(row["model_dir"] for row in rows))
    chosen = [
        best_row(own) or own[-1]
        for own in ([r for r in rows if r["model_dir"] == name] for name in directories)
    ]
    notes = {}
    for name, row in zip(short_names(directories), chosen, strict=True):
        notes.setdefault(f"{row['how']} {counted(row)}", []).append(name)
    lines = [f"{', '.join(names)}: {note}" for note, names in notes.items()]
    different = difference(chosen)
    if different:
        lines.append(f"Not to be compared: {different}.")
    best = None if different else best_row(chosen, "nats")
    _print(
        "The best checkpoint of each",
        list(zip(short_names(directories), chosen, strict=True)),
        best,
        lines,
        file,
    )


def difference(rows):
    """What keeps the numbers of rows from being compared, in words, or None."""
    for key in ("split", "protocol"):
        values = list(dict.fromkeys(str(row.get(key)) for row in rows))
        if len(values) > 1:
            return f"the {key} is {' and '.join(values)}"
    for key in SHARED_COUNTS:
        values = dict.fromkeys(row[key] for row in rows if _is_count(row.get(key)))
        if len(values) > 1:
            return f"the texts have {' and '.join(f'{value:,}' for value in values)} {key}"
    return None


def counted(row) -> str:
    """What the units of a row rest on: "4,810 tokens, 4,810 bytes, ..."."""
    names = {key: key for key in COUNTS}
    if row.get("protocol") == AS_RELEASED:
        names["documents"] = "rows"
    counts = [
        f"{row[key]:,} {name if row[key] != 1 else name[:-1]}"
        for key, name in names.items()
        if _is_count(row.get(key))
    ]
    return f"Over {', '.join(counts)}; checksum {row['text_checksum']}."


def short_names(directories) -> list:
    """The ends of paths that tell them apart."""
    parts = [os.path.normpath(path).split(os.sep) for path in directories]
    for length in range(1, max(map(len, parts), default=1) + 1):
        names = [os.sep.join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            break
    return names


def best_row(rows, key="nats_per_token"):
    """The row of the lowest loss; None without a finite one."""
    finite = [row for row in rows if math.isfinite(row[key])]
    return min(finite, key=lambda row: row[key]) if finite else None


def _print(title, named, best, lines, file):
    """The table of (name or None, row) under the title, and the lines below it."""
    from rich.console import Console

    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console = Console(file=file, highlight=False, width=WIDTH)
    lines = lines if best is None else [BEST, *lines]
    console.print(title, _table(named, best), *lines, sep="\n", markup=False)


def _table(named, best):
    from rich.table import Table

    columns = [key for key in COLUMNS if any(key in row for _, row in named)]
    table = Table()
    if named[0][0] is not None:
        table.add_column("model", overflow="fold")
    for key in columns:
        table.add_column(COLUMNS[key][0], justify="right", no_wrap=True)
    for name, row in named:
        cells = [_cell(row.get(key, math.nan), COLUMNS[key][1]) for key in columns]
        if row is best:
            cells[0] += " *"
        table.add_row(*([] if name is None else [name]), *cells)
    return table


def _is_count(value):
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _cell(value, template):
    """A number as a person reads it: beyond a million only its size matters; - where none is."""
    if isinstance(value, float) and math.isnan(value):
        return "-"
    if isinstance(value, float) and abs(value) >= 1e6:
        return f"{value:.1e}"
    return template.format(value)
