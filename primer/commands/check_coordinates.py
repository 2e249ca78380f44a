"""`primer check --coordinates`: how the outputs of layers grow with the width of the model."""

import argparse
import json
import os
from typing import IO, TYPE_CHECKING

from primer.common import checks, user_paths
from primer.errors import UsageError
from primer.planning.coordinates.coordinate_check import SEEDS, STEPS

if TYPE_CHECKING:
    from primer.planning.coordinates.coordinate_check import CoordinateCheck

WIDTH = 140  # Of the table where the output is not a terminal.
FOLDER = "."
NAMES = ("coordinates.png", "coordinates.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of --coordinates to the parser of `primer check`."""
    group = parser.add_argument_group(
        "--coordinates",
        "train a few steps at several widths, and compare the sizes of all layers' outputs",
    )
    group.add_argument("--coordinates", action="store_true", help="do so in place of the check")
    group.add_argument(
        "--widths",
        help="values of d_model, as 64,128,256 (default: half, once, twice and four times the gin "
        "files'); the other sizes grow alike, but for d_kv",
    )
    group.add_argument(
        "--coordinate_steps",
        type=int,
        default=STEPS,
        help=f"training steps of each run (default: {STEPS})",
    )
    group.add_argument(
        "--coordinate_seeds",
        type=int,
        default=SEEDS,
        help=f"runs that are averaged (default: {SEEDS})",
    )
    group.add_argument(
        "--output",
        type=user_paths.expand,
        default=FOLDER,
        help="the folder for coordinates.png and coordinates.json (default: this one)",
    )
    group.add_argument("--overwrite", action="store_true", help="replace these two files")


def check_options(options: argparse.Namespace) -> None:
    """Raises UsageError for a wrong option, before the long work."""
    if not options.coordinates:
        _check_none_given(options)
        return
    checks.whole_number("--coordinate_steps", options.coordinate_steps)
    checks.whole_number("--coordinate_seeds", options.coordinate_seeds)
    _widths(options.widths)
    for name in NAMES:
        path = os.path.join(options.output, name)
        checks.output_file(path, "--output:", options.overwrite)


def _check_none_given(options: argparse.Namespace) -> None:
    given = {
        "--widths": options.widths is not None,
        "--coordinate_steps": options.coordinate_steps != STEPS,
        "--coordinate_seeds": options.coordinate_seeds != SEEDS,
        "--output": options.output != FOLDER,
        "--overwrite": options.overwrite,
    }
    for option, is_given in given.items():
        if is_given:
            raise UsageError(f"{option} needs --coordinates")


def run(
    options: argparse.Namespace, files: list[str], params: list[str], vocabulary_size: int
) -> int:
    """Trains, writes the files and prints the table.

    Args:
        options: the options of the command.
        files, params: the values of `--gin_file` and `--gin_param`.
        vocabulary_size: the number of token ids.

    Returns:
        1 if `base_width` is set and a size depends on the width all the same, else 0.
    """
    from primer.common import console
    from primer.common.files import write_json
    from primer.experiments import coordinate_plot
    from primer.planning.coordinates import coordinate_check

    result = coordinate_check.check_coordinates(
        files,
        params,
        _widths(options.widths),
        options.coordinate_steps,
        options.coordinate_seeds,
        vocabulary_size,
        console.say,
    )
    os.makedirs(options.output, exist_ok=True)
    image, numbers = (os.path.join(options.output, name) for name in NAMES)
    coordinate_plot.draw_coordinates(result, image)
    write_json(numbers, result.as_data())
    if options.json:
        print(json.dumps(result.as_data(), indent=2))
    else:
        print_table(result)
        print(f"Figure: {image}\nNumbers: {numbers}")
    return 1 if result.base_width is not None and not result.is_flat else 0


def print_table(result: "CoordinateCheck", file: IO[str] | None = None) -> None:
    """Prints the sizes at the first and the last width, the slopes, and what they mean.

    Args:
        result: the value of `check_coordinates`.
        file: the output; None: standard output.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(file=file, highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(file=file, highlight=False, markup=False, width=WIDTH)
    first, last = result.widths[0], result.widths[-1]
    table = Table(title=_title(result), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("output", overflow="fold")
    columns = [f"size\n{first}", f"size\n{last}", "slopes of size\nafter 0, 1, ... steps"]
    columns += [f"change\n{first}", f"change\n{last}", "slopes of change\nafter 1, ... steps"]
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for output in result.outputs:
        cells = []
        for values, slopes in (
            (output.size[-1], output.size_slope),
            (output.change[-1], output.change_slope[1:]),
        ):
            numbers = [f"{value:.3g}" for value in (values[0], values[-1])]
            cells += [*numbers, " ".join(f"{slope:5.2f}" for slope in slopes)]
        table.add_row(output.label, *cells, output.verdict)
    console.print(table)
    console.print(_conclusion(result), soft_wrap=True)


def _title(result) -> str:
    return (
        f"Mean absolute values of outputs and of their changes, d_model {_listed(result.widths)}, "
        f"mean of {result.seeds} runs; optimizer = {result.optimizer}, learning_rate = "
        f"{result.learning_rate:g}, base_width = {result.base_width}"
    )


def _conclusion(result) -> str:
    from primer.planning.coordinates import growth

    meaning = (
        "A slope is the power of the width. An output grows if a slope after a step is above "
        f"{growth.GROWS:g}, and vanishes if one of its change is below {growth.VANISHES:g}; logits "
        "may fall so, as they start as 1 / sqrt(width) with base_width."
    )
    if result.is_flat:
        return f"{meaning} Training carries over: none grows or vanishes."
    number = sum(not output.is_flat for output in result.outputs)
    hint = ""
    if result.base_width is None:
        hint = "; with base_width, learning rate and initial values would"
    return (
        f"{meaning} Training does not carry over: {number} of {len(result.outputs)} outputs grow "
        f"or vanish{hint}."
    )


def _widths(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"--widths {text}: expected values of d_model with commas between, as 64,128,256"
        ) from error


def _listed(widths) -> str:
    return ", ".join(map(str, widths))
