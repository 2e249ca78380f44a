"""A table of evaluated checkpoints on the terminal, and the same as JSON and TSV."""

import json
import math
import os

import tensorflow.compat.v1 as tf

FOLDER = "eval"

# Key of a row -> (head of its column, format).
COLUMNS = {
    "step": ("step", "{:,}"),
    "nats_per_token": ("nats/token", "{:.4f}"),
    "perplexity_per_token": ("perplexity/token", "{:,.2f}"),
    "bits_per_byte": ("bits/byte", "{:.4f}"),
    "perplexity_per_word": ("perplexity/word", "{:,.1f}"),
    "tokens": ("tokens", "{:,}"),
}


def show(title, rows, how, file=None):
    """Prints the table; the best row is marked.

    Args:
      title: above the table.
      rows: dicts with the keys of COLUMNS.
      how: one sentence below it, on how the text was cut.
      file: where; standard output unless given.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for head, _ in COLUMNS.values():
        table.add_column(head, justify="right", no_wrap=True)
    best = best_row(rows)
    for row in rows:
        cells = [_cell(row[key], template) for key, (_, template) in COLUMNS.items()]
        if row is best and len(rows) > 1:
            cells[0] += " *"
        table.add_row(*cells)
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console = Console(file=file, highlight=False, width=100)
    console.print(title, table, how, sep="\n")


def _cell(value, template):
    """A number as a person reads it: beyond a million only its size matters."""
    if isinstance(value, float) and abs(value) >= 1e6:
        return f"{value:.1e}"
    return template.format(value)


def best_row(rows):
    """The row of the lowest loss; None without a finite one."""
    finite = [row for row in rows if math.isfinite(row["nats_per_token"])]
    return min(finite, key=lambda row: row["nats_per_token"]) if finite else None


def write(model_dir, name, record) -> list:
    """Writes `model_dir/eval/<name>.json` and `.tsv`; returns both paths.

    Args:
      model_dir: local or remote.
      name: without extension.
      record: what was evaluated, and "checkpoints", a list of rows.
    """
    directory = os.path.join(model_dir, FOLDER)
    tf.io.gfile.makedirs(directory)
    rows = record["checkpoints"]
    keys = list(rows[0]) if rows else list(COLUMNS)
    lines = ["\t".join(keys)] + ["\t".join(str(row[key]) for key in keys) for row in rows]
    texts = {
        "json": json.dumps(_finite(record), indent=2) + "\n",
        "tsv": "\n".join(lines) + "\n",
    }
    paths = []
    for extension, text in texts.items():
        paths.append(os.path.join(directory, f"{name}.{extension}"))
        with tf.io.gfile.GFile(paths[-1] + ".part", "w") as out:
            out.write(text)
        tf.io.gfile.rename(paths[-1] + ".part", paths[-1], overwrite=True)
    return paths


def _finite(value):
    """JSON has no infinity and no nan: null stands for them."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
