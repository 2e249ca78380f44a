"""`primer export-metrics`: the numbers of a run's event files as CSV, JSON lines or Parquet."""

import argparse
import fnmatch

from primer.common import checks, user_paths
from primer.errors import UsageError

FORMATS = (".csv", ".jsonl", ".parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    parser.add_argument(
        "--model_dir", type=user_paths.expand, required=True, help="the directory of a run"
    )
    parser.add_argument(
        "--output",
        type=user_paths.expand,
        required=True,
        help="the file to write, with a row for each number: .csv, .jsonl or .parquet",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument(
        "--tag",
        nargs="+",
        action="extend",
        metavar="PATTERN",
        help="only these tags, as loss 'primer_eval/*' (default: all)",
    )


def run(options: argparse.Namespace) -> int:
    """Reads the events, writes the file, says what is in it; returns the exit code."""
    if not options.output.endswith(FORMATS):
        raise UsageError(f"--output is {options.output}; expected a name in {', '.join(FORMATS)}")
    checks.output_file(options.output, "--output", options.overwrite)
    from primer.common import console

    console.capture_startup()
    try:
        _export(options)
    finally:
        console.discard_startup()
    return 0


def _export(options):
    from primer.common import files
    from primer.runtime.tracking import event_files, metric_files

    scalars = event_files.read_scalars(options.model_dir)
    tags = sorted({scalar.tag for scalar in scalars})
    if options.tag:
        kept = {tag for tag in tags if any(fnmatch.fnmatchcase(tag, p) for p in options.tag)}
        scalars = [scalar for scalar in scalars if scalar.tag in kept]
        if not scalars:
            raise UsageError(
                f"--tag {' '.join(options.tag)}: no number has such a tag; there are "
                f"{', '.join(tags)}"
            )
    files.write_output(options.output, metric_files.content(scalars, options.output))
    sources = {scalar.source: 0 for scalar in scalars}
    for scalar in scalars:
        sources[scalar.source] += 1
    counts = ", ".join(f"{number:,} of {source}" for source, number in sources.items())
    steps = [scalar.step for scalar in scalars]
    print(
        f"{options.output}: {len(scalars):,} numbers ({counts}) of "
        f"{len({scalar.tag for scalar in scalars}):,} tags, steps {min(steps):,} to {max(steps):,}"
    )
