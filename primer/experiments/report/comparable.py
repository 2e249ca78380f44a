"""Which results may be compared: those of one text, cut and counted alike."""

from collections.abc import Mapping, Sequence

from primer.evaluation import report
from primer.experiments.report.groups import Group
from primer.experiments.report.runs import Curve, Row

# {group: its evaluated runs}
Curves = Mapping[str, Sequence[Curve]]


def sets(groups: Sequence[Group]) -> list[Curves]:
    """Returns the curves of groups, those together that may be compared."""
    found: dict[tuple, dict[str, list[Curve]]] = {}
    for group in groups:
        for run in group.runs:
            for points in run.evaluations:
                own = found.setdefault(_key(points[-1].row), {})
                own.setdefault(group.name, []).append(Curve(run, points))
    return list(found.values())


def _key(row: Row) -> tuple:
    """Returns what rows that may be compared have in common."""
    text = tuple(row.get(key) for key in report.TEXT_COUNTS)
    if not all(isinstance(count, int) for count in text):  # A data set of token ids.
        text = (row["text_checksum"],)
    kept = ("task", "split", "protocol", "window", "not_as_trained")
    return (*(row.get(key) for key in kept), report.activation_dtype(row), text)


def why_apart(row: Row, base: Row) -> str:
    """Returns why two rows are not compared: "the split is test and validation"; "" if they are."""
    if _key(row) == _key(base):
        return ""
    found = report.find_difference([base, row])
    if found:
        return found
    for key in ("task", "window", "not_as_trained"):
        if row.get(key) != base.get(key):
            values = " and ".join(str(one.get(key) or "none") for one in (base, row))
            return f"the {key.replace('_', ' ')} is {values}"
    return "their texts differ"


def counted(own: Curves) -> dict[str, list[Curve]]:
    """Returns the runs that were not stopped as hopeless, of the groups that have any."""
    found = {name: [c for c in curves if c.run.hopeless is None] for name, curves in own.items()}
    return {name: curves for name, curves in found.items() if curves}
