"""The tables that the data commands print."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from primer.common import console, user_paths

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from primer.data.prepared.plan import Plan

WIDTH = 120


def make_terminal(file: TextIO | None = None, width: int = WIDTH) -> "Console":
    """Returns rich's console for a file, as wide as the terminal; without one, `width` columns."""
    from rich.console import Console

    terminal = Console(file=file, highlight=False, markup=False)
    if terminal.is_terminal:
        return terminal
    return Console(file=file, highlight=False, markup=False, width=width)


def make_table(title: str | None, *columns: str) -> "Table":
    """Returns an empty table; the first column is for names, the others for numbers."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    return table


def show_prepared(
    plan: "Plan", manifest: dict[str, Any], written: bool, file: TextIO | None = None
) -> None:
    """Prints the contents of a prepared data set and how to train on it.

    Args:
        plan: what was prepared.
        manifest: the data set's manifest.
        written: False if the data set was already complete.
        file: receives the table; None for standard output.
    """
    folder = os.path.join(plan.output, plan.task)
    table = make_table(
        folder, "split", "documents", "tokens", "words", "characters", "bytes", "tokens per byte"
    )
    for split, counts in manifest["splits"].items():
        ratio = counts["tokens"] / counts["bytes"] if counts["bytes"] else 0
        numbers = [counts[name] for name in ("examples", "tokens", "words", "characters", "bytes")]
        table.add_row(split, *(f"{number:,}" for number in numbers), f"{ratio:.4f}")
    make_terminal(file).print(table)
    console.say(f"Vocabulary: {manifest['settings']['vocabulary']}")
    say_changes(manifest.get("changes", {}))  # Earlier versions recorded none.
    _say_left_out(manifest)
    _say_order(manifest)
    if not written:
        console.say(f"{folder} was already complete: nothing was written")
    if plan.format == "seqio":
        console.say(f"Train on it with: primer train --data {folder} --model ... --model_dir ...")
    else:
        pattern = os.path.join(user_paths.absolute(folder), "train_*")
        console.say(
            "Train on it with: primer train --task gpt_neo_records "
            f"--gin_param=\"gpt_neo_records.glob = '{pattern}'\" --model ... --model_dir ..."
        )


def say_changes(changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Prints what the vocabulary does not give back of each split, if anything.

    Args:
        changes: split -> a `Changes` as plain data.
    """
    from primer.data.vocabularies.round_trip import Changes

    for split, data in changes.items():
        described = Changes.from_dict(data).describe()
        if described:
            console.say(f"{split} split: {described}")


def say_skipped(not_utf8: dict[str, int], empty: int) -> None:
    """Prints how many documents were left out, if any.

    Args:
        not_utf8: file -> its documents that are not UTF-8.
        empty: number of documents without text.
    """
    from primer.data.sources import text_checks

    if not_utf8:
        console.say(f"Left out {text_checks.describe_skipped(not_utf8)}")
    if empty:
        console.say(f"Left out {empty:,} empty documents")


def _say_left_out(manifest):
    say_skipped(manifest["not_utf8"], manifest["empty"])
    tokens = sum(
        part.get("left_out_tokens", 0)
        for shard in manifest["shards"]
        for part in shard["splits"].values()
    )
    if tokens:
        console.say(f"Left out {tokens:,} tokens at the ends of shards, too few for another record")


def _say_order(manifest):
    """Prints how the documents were mixed."""
    from primer.data.prepared import shard

    shards, seed = manifest["shards"], manifest["settings"]["order"]["seed"]
    message = f"Order: random (seed {seed}); each of {len(shards)} shards samples the whole input"
    if any(part["windows"] > 1 for part in shards):
        message += (
            f", shuffled in windows of {shard.WINDOW_BYTES >> 20} MiB (with more --shards, each is "
            "shuffled as a whole)"
        )
    console.say(message)
