"""`primer data inspect --order`: the share of each source in the first steps of training."""

import argparse
import dataclasses
import os
from collections.abc import Sequence

from primer.common import checks, console

STEPS = 50
_ROWS = 32  # A batch, unless gin sets one.
_SHOWN = 30
_FAR = 4  # Standard errors.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of --order to the parser of `inspect`."""
    parser.add_argument(
        "--order",
        action="store_true",
        help="instead: the share of each file (of a mixture: task) in the first steps",
    )
    parser.add_argument(
        "--steps", type=int, default=STEPS, help=f"with --order: the number of steps ({STEPS})"
    )


def run(task: str, options: argparse.Namespace, length: int) -> int:
    """Prints the shares of a task's sources and writes order.json; returns the exit code."""
    from primer.common import files
    from primer.common.random_seed import run_seed
    from primer.data import source_shares
    from primer.gin_config.values import bound, configured
    from primer.runtime import batch_size

    checks.whole_number("--steps", options.steps)
    rows = _ROWS if bound("utils.run.batch_size") is None else batch_size.rows_per_batch()
    seed = configured("mesh_train_dataset_fn.seed", run_seed())
    shares = source_shares.source_shares(task, options.split, length, options.steps * rows, seed)
    _show(task, options, shares, f"{options.steps:,} steps of {rows} rows of {length} tokens")
    if options.output:
        os.makedirs(options.output, exist_ok=True)
        path = os.path.join(options.output, "order.json")
        files.write_json(path, [dataclasses.asdict(share) for share in shares])
        console.say(f"Written to {path}")
    return 0


def _show(task, options, shares, extent):
    from primer.commands.data import tables

    table = tables.make_table(
        f"{task}, {options.split} split: the first {extent}",
        "source",
        "expected share",
        "in these steps",
        "standard error",
        "errors off",
    )
    names = _short_names([share.name for share in shares])
    order = sorted(range(len(shares)), key=lambda n: -shares[n].expected)
    for number in order[:_SHOWN]:
        share = shares[number]
        numbers = (f"{x:.2%}" for x in (share.expected, share.drawn, share.error))
        table.add_row(names[number], *numbers, f"{share.errors_off():.1f}")
    tables.make_terminal().print(table)
    if len(shares) > _SHOWN:
        console.say(f"and {len(shares) - _SHOWN:,} smaller sources")
    far = sum(share.errors_off() > _FAR for share in shares)
    console.say(
        f"{far:,} of {len(shares):,} sources are more than {_FAR} standard errors from their share"
    )


def _short_names(names: Sequence[str]) -> list[str]:
    """Returns the names without the folders that all of them have in common."""
    if len(names) < 2 or not all(map(os.path.isabs, names)):
        return list(names)
    folder = os.path.commonpath(names)
    return [os.path.relpath(name, folder) for name in names]
