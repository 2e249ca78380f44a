"""The tables of a comparison, for the terminal."""

from collections.abc import Mapping, Sequence
from typing import IO, Any

WIDTH = 104  # Where the output is not a terminal.


def print_tables(
    results: Sequence[Mapping[str, Any]], sentences: Sequence[str], file: IO[str] | None = None
) -> None:
    """Prints a table of all checkpoints, one of the last ones, and the sentences below.

    Args:
        results: the value of `demo.run_contender` for each model.
        sentences: the comparison in words.
        file: the output; None: standard output.
    """
    from rich.console import Console

    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console = Console(file=file, highlight=False, width=WIDTH)
    console.print("Perplexity per token on the validation split, and seconds of training")
    console.print(_by_checkpoint(results))
    console.print("At the end")
    console.print(_final(results))
    console.print(results[0]["how"])
    console.print(
        "Each model has the best of at least five learning rates (benchmarks/learning_rates.py, "
        "same split); seconds count from the end of the first step."
    )
    for sentence in sentences:
        console.print(f"- {sentence}")


def _by_checkpoint(results):
    from rich.table import Table

    table = Table()
    table.add_column("tokens trained", justify="right", no_wrap=True)
    for result in results:
        table.add_column(result["label"], justify="right", no_wrap=True)
    for rows in zip(*(result["checkpoints"] for result in results), strict=True):
        cells = [f"{row['perplexity_per_token']:,.1f}  {row['seconds']:4.0f} s" for row in rows]
        table.add_row(f"{rows[0]['tokens_trained']:,}", *cells)
    return table


def _final(results):
    from rich.table import Table

    table = Table()
    heads = ("model", "parameters", "learning\nrate", "nats\nper token", "perplexity\nper token")
    heads += ("bits\nper byte", "perplexity\nper word", "tokens\nper second")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left", no_wrap=not number)
    for result in results:
        row = result["checkpoints"][-1]
        table.add_row(
            result["label"],
            f"{result['parameters']:,}",
            f"{result['learning_rate']:g}",
            f"{row['nats_per_token']:.4f}",
            f"{row['perplexity_per_token']:,.2f}",
            f"{row['bits_per_byte']:.4f}",
            f"{row['perplexity_per_word']:,.1f}",
            f"{row['tokens_trained'] / row['seconds']:,.0f}" if row["seconds"] > 0 else "-",
        )
    return table
