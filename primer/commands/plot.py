"""`primer plot schedule`: draws the learning rates of gin files, and prints their main numbers."""

import argparse
import os
from typing import TYPE_CHECKING

from primer.checkpoints import saved_config
from primer.commands import options as shared
from primer.common import checks, user_paths
from primer.errors import UsageError
from primer.gin_config import config_files, trust
from primer.launch import train
from primer.planning.plans import engine_imports

if TYPE_CHECKING:
    from primer.planning.schedule_curve import ScheduleCurve

# The folders of gin files whose names stand for a curve, in the order of the search.
KINDS = ("schedules", "optimizers", "recipes")

WIDTH = 140  # Of the numbers of the table where the output is not a terminal.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    parser.add_argument("what", choices=["schedule"], help="what to draw: schedule")
    names = [name for kind in KINDS for name in config_files.names_of_kind(kind)]
    parser.add_argument(
        "curves",
        nargs="+",
        metavar="GIN",
        help="a curve each: " + ", ".join(names) + "; or a gin file, or the directory of a run",
    )
    parser.add_argument(
        "--steps",
        type=int,
        help="the steps of the run (default: train_steps of the files, else 10,000)",
    )
    parser.add_argument(
        "--output",
        type=user_paths.expand,
        default="schedule.png",
        help="the image (default: schedule.png)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the image")
    parser.add_argument("--log", action="store_true", help="a logarithmic axis of rates")
    shared.add_gin_file(parser)
    shared.add_gin_param(parser, "warmup_steps = 2000")
    shared.add_module_import(parser)


def run(options: argparse.Namespace) -> int:
    """Draws the curves, prints a table and the remarks of the schedules, and returns 0."""
    if options.steps is not None:
        checks.whole_number("--steps", options.steps)
    files = {name: _gin_files(name, options) for name in options.curves}
    inputs = [file for names in files.values() for file in names]
    checks.output_file(options.output, "--output", options.overwrite, inputs)
    with engine_imports.imported(options.module_import):
        curves = {name: _curve(name, found, options) for name, found in files.items()}
    from primer.experiments import schedule_figure

    schedule_figure.draw_schedules(curves, options.output, options.log)
    _print_table(curves)
    for name, curve in curves.items():
        for sentence, rates in curve.remarks:
            values = "; ".join(f"{_rate(rate)} at step {step:,}" for step, rate in rates.items())
            print(f"{name}: {sentence}" + (f" The rate is {values}." if values else ""))
    print(f"\nCurves: {options.output}")
    return 0


def _gin_files(name: str, options: argparse.Namespace) -> list[str]:
    """Returns the gin files of a curve in order.

    Raises:
        UsageError: no such name or file, or a run whose settings may run code of their own.
    """
    named = [train.require_gin_file(file) for file in options.gin_file]
    path = user_paths.expand(name)
    for kind in KINDS:
        if name in config_files.names_of_kind(kind):
            return [config_files.MODEL_DEFAULTS, f"{kind}/{name}.gin", *named]
    is_config = os.path.basename(path) in saved_config.CONFIGS
    if is_config or os.path.isdir(path):
        config = path if is_config else saved_config.config_file(path)
        if not os.path.isfile(config) and not user_paths.is_remote(config):
            raise UsageError(f"{name}: there is no such file")
        trust.check_config(config, options.module_import)
        return [config, *named]
    if not name.endswith(".gin"):
        known = ", ".join(other for kind in KINDS for other in config_files.names_of_kind(kind))
        raise UsageError(
            f"{name!r} is neither a gin file, nor the directory of a run, nor one of {known}"
        )
    return [config_files.MODEL_DEFAULTS, train.require_gin_file(path, "GIN"), *named]


def _curve(name: str, files: list[str], options: argparse.Namespace) -> "ScheduleCurve":
    from primer.planning import schedule_curve

    try:
        return schedule_curve.curve_of_gin(files, options.gin_param, options.steps)
    except UsageError as error:
        raise UsageError(f"{name}: {str(error).splitlines()[0]}") from error


def _print_table(curves: "dict[str, ScheduleCurve]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("schedule", overflow="fold")
    for column in ("steps", "step 0", "highest", "from step", "mean", "final"):
        table.add_column(column, justify="right")
    for name, curve in curves.items():
        step, highest = curve.peak
        rates = (curve.rates[0], highest, curve.mean, curve.rates[-1])
        first, highest_text, mean, final = map(_rate, rates)
        table.add_row(name, f"{curve.total:,}", first, highest_text, f"{step:,}", mean, final)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        # Names may be long paths: none is folded, so that a line is a curve.
        console = Console(highlight=False, markup=False, width=WIDTH + max(map(len, curves)))
    console.print(table)


def _rate(rate: float) -> str:
    return f"{rate:.4g}"
