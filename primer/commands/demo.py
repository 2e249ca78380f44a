"""`primer demo`: trains three models of one size, compares them, draws their learning curves."""

import json
import os

from primer.experiments import contenders, demo
from primer.runtime import logs

TOKENS_PER_STEP = 2048


def add_arguments(parser):
    """Adds the arguments of the command to its parser."""
    parser.add_argument("--output", default="demo", help="where everything goes (default: demo)")
    parser.add_argument(
        "--steps", type=int, help="train this long instead of some six minutes; for a quick look"
    )


def run(options) -> int:
    """Runs the three, one after the other; prints the table and what was seen."""
    from primer.experiments import curves

    results = []
    for contender in contenders.CONTENDERS:
        logs.say(f"--- {contender.label}")
        results.append(demo.run_one(contender, options.output, options.steps))
    picture = os.path.join(options.output, "learning_curves.png")
    curves.draw(results, TOKENS_PER_STEP, picture)
    numbers = os.path.join(options.output, "results.json")
    with open(numbers, "w", encoding="utf-8") as out:
        out.write(json.dumps(results, indent=2) + "\n")
    _show(results)
    print(f"\nLearning curves: {picture}\nNumbers: {numbers}")
    return 0


def _show(results):
    """The last checkpoint of each model, and a sentence on tokens and time."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Last checkpoint, whole validation split")
    heads = ("model", "nats/token", "perplexity/token", "bits/byte", "tokens", "training s")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left", no_wrap=True)
    for result in results:
        row = last(result)
        table.add_row(
            result["name"],
            f"{row['nats_per_token']:.4f}",
            f"{row['perplexity_per_token']:.2f}",
            f"{row['bits_per_byte']:.4f}",
            f"{row['tokens']:,}",
            f"{row['seconds']:.0f}",
        )
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=100)
    console.print(table)
    console.print(results[0]["how"])
    console.print(summary(results))


def last(result) -> dict:
    """The row of the last step."""
    return max(result["checkpoints"], key=lambda row: row["step"])


def summary(results) -> str:
    """What was seen, by tokens and by time, whatever it is."""
    ranked = sorted(results, key=lambda result: last(result)["nats_per_token"])
    base = next(result for result in results if result["name"] == "Transformer")
    lines = [
        "After the same tokens: "
        + " < ".join(f"{r['name']} {last(r)['nats_per_token']:.4f}" for r in ranked)
        + " nats per token.",
    ]
    for result in results:
        if result is not base:
            ratio = last(result)["seconds"] / max(last(base)["seconds"], 1e-9)
            lines.append(f"{result['name']} took {ratio:.2f} times the Transformer's time for them.")
    return " ".join(lines)
