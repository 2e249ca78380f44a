"""`primer report`: compares evaluated runs over seeds, on one page and on the terminal."""

import argparse
import os
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from primer.common import checks, user_paths
from primer.common.terminal import tables
from primer.errors import UsageError

# Columns of the table on the terminal that have words.
_WORDS = ("group", "result")
if TYPE_CHECKING:
    from primer.experiments.report.analyses.part import Part
    from primer.experiments.report.contents import Report
    from primer.experiments.report.sections import Section


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    parser.add_argument(
        "runs",
        nargs="+",
        type=user_paths.expand,
        metavar="RUNS_OR_SWEEP",
        help="directories of runs, folders of them, or YAML files of sweeps",
    )
    parser.add_argument(
        "--output",
        type=user_paths.expand,
        default="report.html",
        help="the page; PNG, CSV and JSON are in the folder beside it (default: report.html)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier report")
    parser.add_argument(
        "--baseline",
        metavar="NAME",
        help="the group of runs that the others are compared with, by its name without the seed, "
        "or one for each size by the values that these have (default: the first group)",
    )
    parser.add_argument(
        "--asymptote",
        type=float,
        metavar="E",
        help="the loss of infinite compute in the fits over sizes, in the unit of the page "
        "(default: fitted)",
    )


def run(options: argparse.Namespace) -> int:
    """Writes the report, prints its final tables, and returns 0."""
    remote = next(filter(user_paths.is_remote, [*options.runs, options.output]), None)
    if remote:
        raise UsageError(f"{remote}: expected a local path; copy the directories first")
    if not options.output.endswith((".html", ".htm")):
        raise UsageError(f"--output {options.output}: expected the name of an .html file")
    if options.asymptote is not None:
        checks.number_from_zero("--asymptote", options.asymptote, "a loss of 0 or more")
    from primer.experiments.report import directories  # It imports no TensorFlow.

    directories.find(options.runs)  # First: a wrong run is wrong whatever the output is.
    checks.output_file(options.output, "--output", options.overwrite, options.runs)
    # Not at the top: these import TensorFlow, whose messages are captured first.
    from primer.common import console

    console.capture_startup()
    try:
        from primer.experiments.report import contents, finals
        from primer.experiments.report.speedups import speedup_table
    finally:
        console.discard_startup()
    report = contents.build(options.runs, options.baseline, options.asymptote)
    for section, speedups, parts in zip(
        report.sections, report.speedups, report.parts, strict=True
    ):
        _print_section(section, finals)
        _print_speedups(section, speedups, speedup_table)
        for part in parts:
            _print_part(part)
    for part in (one for _, parts in report.joined for one in parts):
        _print_part(part)
    for remark in report.remarks:
        print(remark)
    write(report, options.output)
    return 0


def write(report: "Report", page: str) -> None:
    """Writes the page of a report and the files beside it, and says where they are.

    Args:
        report: its contents.
        page: the path of the page.

    Raises:
        UsageError: a file cannot be written; earlier ones are as they were.
    """
    from primer.experiments.report import exports

    exports.write(exports.files_of(report, page))
    print(f"Page: {page}; the same as files: {os.path.splitext(page)[0]}_files")


def _print_section(section: "Section", finals: ModuleType) -> None:
    heads = finals.short_columns(section)
    table = tables.table(section.title, *heads.values(), words=_WORDS)
    rows = finals.rows(section)
    for row in rows:
        texts = finals.texts(row)
        table.add_row(*(texts[key] for key in heads))
    tables.console().print(table)
    if section.reason:
        print(f"Not compared with the first table: {section.reason}.")
    for sentence in finals.remarks(section, rows):
        print(sentence)
    print(section.how)


def _print_speedups(
    section: "Section", found: Sequence[Mapping], speedup_table: ModuleType
) -> None:
    heads, known = speedup_table.HEADS, [row for row in found if not row["remark"]]
    if known:
        title = f"Compute to reach the final loss of {section.baseline}"
        table = tables.table(title, *heads.values(), words=("group", "in"))
        for row in known:
            texts = speedup_table.texts(row)
            table.add_row(*(texts[key] for key in heads))
        tables.console().print(table)
    for remark in speedup_table.remarks(found):
        print(remark)


def _print_part(part: "Part") -> None:
    for one in part.tables:
        table = tables.table(part.title, *one.heads.values(), words=(*one.heads.values(),)[:1])
        for row in one.rows:
            table.add_row(*(row[key] for key in one.heads))
        tables.console().print(table)
    for sentence in part.sentences:
        print(sentence)
