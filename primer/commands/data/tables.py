"""The tables that the data commands print."""

import os

from primer.common import console as logs

WIDTH = 120  # Where the output is no terminal.


def console(file=None):
    """rich's console, as wide as a terminal or 120."""
    from rich.console import Console

    made = Console(file=file, highlight=False, markup=False)
    if made.is_terminal:
        return made
    return Console(file=file, highlight=False, markup=False, width=WIDTH)


def make_table(title, *columns):
    """An empty table; the first column is for names, the others for numbers."""
    from rich import box
    from rich.table import Table

    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left", overflow="fold")
    return made


def show_prepared(plan, manifest, written, file=None):
    """Prints what a prepared data set has, and how to train on it."""
    folder = os.path.join(plan.output, plan.task)
    shown = make_table(
        folder, "split", "documents", "tokens", "words", "characters", "bytes", "tokens per byte"
    )
    for split, counts in manifest["splits"].items():
        ratio = counts["tokens"] / counts["bytes"] if counts["bytes"] else 0
        numbers = [counts[name] for name in ("examples", "tokens", "words", "characters", "bytes")]
        shown.add_row(split, *(f"{number:,}" for number in numbers), f"{ratio:.4f}")
    console(file).print(shown)
    logs.say(f"Vocabulary: {manifest['settings']['vocabulary']}")
    _say_left_out(manifest)
    if not written:
        logs.say(f"{folder} was complete already: nothing to do")
    if plan.format == "seqio":
        logs.say(f"Train on it with: primer train --data {folder} --model ... --model_dir ...")
    else:
        pattern = os.path.join(os.path.abspath(folder), "train_*")
        logs.say(
            "Train on it with: primer train --task gpt_neo_records "
            f"--gin_param=\"gpt_neo_records.glob = '{pattern}'\" --model ... --model_dir ..."
        )


def _say_left_out(manifest):
    bad = manifest["not_utf8"]
    if bad:
        from primer.data.sources import text_checks

        logs.say(f"Left out {text_checks.describe_skipped(bad)}")
    if manifest["empty"]:
        logs.say(f"Left out {manifest['empty']:,} empty documents")
    rest = sum(
        part.get("left_out_tokens", 0)
        for shard in manifest["shards"]
        for part in shard["splits"].values()
    )
    if rest:
        logs.say(f"Left out {rest:,} tokens at the ends of shards, too few for another record")
