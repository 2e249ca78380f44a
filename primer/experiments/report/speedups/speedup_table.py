"""The speedup factors of a section as numbers and text."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from primer.experiments.report.sections import Section
from primer.experiments.report.speedups import speedup

HEADS = {
    "group": "group",
    "cost": "in",
    "seeds": "seeds",
    "factor": "speedup factor",
    "interval": "95% interval",
}
COSTS = {"flops": "FLOPs", "seconds": "wall time"}


def rows(section: Section) -> list[dict[str, Any]]:
    """Returns the attributes of each `speedup.Speedup` of a section."""
    return [dataclasses.asdict(one) for one in speedup.speedups(section)]


def texts(row: Mapping[str, Any]) -> dict[str, str]:
    """Returns a row that has a factor as text, {key of HEADS: text}."""
    interval = f"{_factor(row['low'], row)} to {_factor(row['high'], row)}"
    return {
        "group": row["group"],
        "cost": COSTS[row["cost"]],
        "seeds": str(row["seeds"]),
        "factor": _factor(row["factor"], row),
        "interval": "-" if math.isnan(row["low"]) else interval,
    }


def _factor(value: float, row: Mapping[str, Any]) -> str:
    if value == 0:
        return f"below {row['least']:.2f}"
    return f"above {row['most']:.2f}" if math.isinf(value) else f"{value:.2f}"


def remarks(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns why groups have no factor, each reason once with the groups that it concerns."""
    cases: dict[str, list[tuple[str, str]]] = {}
    for row in found:
        if row["remark"]:
            cases.setdefault(row["remark"], []).append((row["group"], row["cost"]))
    return [
        f"No speedup factor{'' if len(own) == len(found) else f' of {_named(own)}'}: {reason}."
        for reason, own in cases.items()
    ]


def _named(cases: list[tuple[str, str]]) -> str:
    """Returns the groups of (group, cost), with the cost where it is one alone."""
    of_group: dict[str, list[str]] = {}
    for group, cost in cases:
        of_group.setdefault(group, []).append(COSTS[cost])
    of_costs: dict[str, list[str]] = {}
    for group, costs in of_group.items():
        where = "" if len(costs) == len(COSTS) else f" in {costs[0]}"
        of_costs.setdefault(where, []).append(group)
    return ", ".join(", ".join(groups) + where for where, groups in of_costs.items())
