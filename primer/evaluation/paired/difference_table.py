"""The table of differences to a baseline that `primer eval` prints for several directories."""

import math
from collections.abc import Sequence
from typing import Any, TextIO

from primer.evaluation import report
from primer.evaluation.paired import difference
from primer.evaluation.paired.difference import Difference

UNITS = {
    difference.NATS_PER_TOKEN: "nats\nper token",
    difference.BITS_PER_BYTE: "bits\nper byte",
}
OTHER_VOCABULARIES = "In bits per byte: nats per token are not comparable between vocabularies."

Row = dict[str, Any]


def print_differences(
    rows: Sequence[Row], baseline: str | None = None, file: TextIO | None = None
) -> None:
    """Prints the difference of each directory's best checkpoint to the baseline's.

    Directories whose text or protocol is not the baseline's are left out.

    Args:
        rows: those of all directories, as for `report.print_comparison`.
        baseline: the directory of the baseline; None for that of the first row.
        file: the output; None for standard output.
    """
    named = report.best_of_each(rows)
    own = _place_of(baseline, [row for _, row in named])
    if own is None:
        print(f"No differences: the baseline {baseline} has no result.", file=file)
        return
    base_name, base = named.pop(own)
    named = [pair for pair in named if report.find_difference([base, pair[1]]) is None]
    if not named:
        return
    others = [row for _, row in named]
    unit = difference.common_unit([base, *others])
    found = difference.differences(others, base, unit)
    names = [name for name, _ in named]
    title = f"Differences from {base_name} (negative: a lower loss than that of {base_name})"
    report.print_table(title, _table(names, found), _notes(names, found), file)


def _place_of(baseline, rows):
    """The index of the baseline's row, or None."""
    if baseline is None:
        return 0
    places = enumerate(row["model_dir"] for row in rows)
    return next((place for place, own in places if report.same_directory(own, baseline)), None)


def _table(names: Sequence[str], found: Sequence[Difference]):
    from rich.table import Table

    table = Table()
    table.add_column("model", overflow="fold")
    heads = (UNITS[found[0].unit], "standard\nerror", "95%\ninterval", "in standard\nerrors")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for name, one in zip(names, found, strict=True):
        low, high = one.interval
        interval = "-" if math.isnan(low) else f"{low:+.4f} to {high:+.4f}"
        cells = [(one.value, "{:+.4f}"), (one.standard_error, "{:.4f}"), (one.ratio, "{:+.1f}")]
        value, error, ratio = (report.cell(*cell) for cell in cells)
        table.add_row(name, value, error, interval, ratio)
    return table


def _notes(names: Sequence[str], found: Sequence[Difference]) -> list[str]:
    """The sentences below the table."""
    notes = [OTHER_VOCABULARIES] if found[0].unit == difference.BITS_PER_BYTE else []
    documents = next((one.documents for one in found if one.remark is None), None)
    if documents is not None:
        notes.append(
            f"Standard errors are of the difference, paired over {documents:,} documents: other "
            "documents would change it by about so much. Training again with another seed is not "
            "in them. An interval that contains 0 is no evidence of a difference."
        )
    remarks: dict[str, list[str]] = {}
    for name, one in zip(names, found, strict=True):
        if one.remark:
            remarks.setdefault(one.remark, []).append(name)
    notes += [f"{', '.join(own)}: no standard error: {why}." for why, own in remarks.items()]
    return notes
