"""The power law of a family's final losses over sizes and tokens.

    L(N, D) = E + A N^-alpha + B D^-beta

(Hoffmann et al. 2022, https://arxiv.org/abs/2203.15556, approach 3). N counts the parameters
without embedding, of experts those that a token chooses; D the tokens of training, padding
included.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from primer.experiments.fits import drawn_laws, power_law, resampling
from primer.experiments.fits.power_law import PowerLaw
from primer.experiments.report.analyses import cells, compute_law, part
from primer.experiments.report.analyses.families import Family
from primer.experiments.report.analyses.part import Part, Table

HEADS = {
    "family": "family",
    "runs": "runs",
    "groups": "sizes and tokens",
    "asymptote": "E",
    "alpha": "alpha",
    "beta": "beta",
    "factor_of_size": "A",
    "factor_of_tokens": "B",
    "deviation": "deviation",
}
DEFINITION = (
    "Loss against size and tokens: L(N, D) = E + A N^-alpha + B D^-beta (Hoffmann et al. 2022, "
    "approach 3), fitted as the law of compute, to all final losses of a family. N: parameters "
    "without embedding, of experts those that a token chooses. D: training tokens, padding "
    "included. Intervals of 95% in brackets."
)
# Name -> the number of a law; factors are positive, and have intervals of their log.
_NUMBERS: dict[str, Callable[[PowerLaw], float]] = {
    "asymptote": lambda law: law.asymptote,
    "alpha": lambda law: law.exponents[0],
    "beta": lambda law: law.exponents[1],
    "factor_of_size": lambda law: math.log(law.factors[0]),
    "factor_of_tokens": lambda law: math.log(law.factors[1]),
}
_LOGS = ("factor_of_size", "factor_of_tokens")


@dataclasses.dataclass(frozen=True)
class SizeLaw:
    """What the runs of a family say.

    Attributes:
        runs: those that are counted.
        law: of size and tokens, or None.
        row: the numbers of the law with their intervals, nan where there are none, and "remarks".
    """

    runs: cells.Runs
    law: PowerLaw | None
    row: Mapping[str, Any]


def fit_family(family: Family, unit: str, asymptote: float | None = None) -> SizeLaw:
    """Returns the law of a family.

    Args:
        family: contenders of one section.
        unit: the section's unit.
        asymptote: E where it is pinned.
    """
    found, remarks = cells.of_family(family, unit)
    known = [cell for cell in found if cell.size > 0 and cell.tokens > 0]
    if len(known) < len(found):
        remarks.append("groups whose parameters or tokens are not recorded are not counted")
    runs = cells.runs_of(known)
    variables = np.column_stack([runs.sizes, runs.tokens])
    needed = power_law.number_of_parameters(2, asymptote)
    problems = _problems(len(known), needed, variables)
    row: dict[str, Any] = {
        "family": family.name,
        "runs": len(runs.losses),
        "groups": len(known),
        **{f"{name}{end}": math.nan for name in _NUMBERS for end in ("", "_low", "_high")},
        "deviation": math.nan,
        "remarks": "; ".join([*problems, *remarks]),
    }
    if problems:
        return SizeLaw(runs, None, row)
    law = power_law.fit(variables, runs.losses, asymptote)
    row |= _numbers(law, runs, variables, asymptote)
    row["remarks"] = "; ".join([*row.pop("problems"), *remarks])
    return SizeLaw(runs, law, row)


def _numbers(
    law: PowerLaw, runs: cells.Runs, variables: np.ndarray, asymptote: float | None
) -> dict[str, Any]:
    """Returns the numbers of a law with their intervals, and what there is to say of it."""
    needed = power_law.number_of_parameters(2, asymptote)
    fitted = law.losses(variables)
    row: dict[str, Any] = {"problems": []}
    if not law.is_determined:
        row["problems"].append("the runs do not determine all numbers of the law")
    resampled = resampling.resample(runs.losses, fitted, runs.places, runs.seeds, needed)
    drawn: list[PowerLaw] = []
    if resampled:
        losses = compute_law.above(resampled.losses, asymptote)
        drawn = drawn_laws.fit(variables, losses, law, asymptote)
        row["deviation"] = float(np.sqrt(np.mean((np.log(runs.losses) - np.log(fitted)) ** 2)))
    else:
        row["problems"].append(f"no interval: {len(runs.losses)} runs for {needed} numbers")
    for name, number in _NUMBERS.items():
        value, ends = number(law), (math.nan, math.nan)
        if resampled:
            ends = resampled.interval(value, np.array([number(one) for one in drawn]))
        for key, one in ((name, value), (f"{name}_low", ends[0]), (f"{name}_high", ends[1])):
            row[key] = _exp(one) if name in _LOGS else one
    # nan stays nan.
    row["asymptote_low"] = max(row["asymptote_low"], 0.0)
    return row


def _exp(value: float) -> float:
    return math.exp(value) if not value > 700 else math.inf


def _problems(groups: int, needed: int, variables: np.ndarray) -> list[str]:
    if groups < needed:
        return [f"no fit: {groups} pairs of size and tokens, and the law has {needed} numbers"]
    return [f"no fit: {problem}" for problem in power_law.is_identified(variables)]


def describe(rows: Sequence[Mapping[str, Any]]) -> Part:
    """Returns the part of the page.

    Args:
        rows: of all families of a section.
    """
    texts = [_texts(row) for row in rows if math.isfinite(row["alpha"])]
    return Part(
        "size_law",
        "Loss against size and tokens",
        [Table(HEADS, texts)] if texts else [],
        [f"{row['family']}: {row['remarks']}." for row in rows if row["remarks"]],
        {},
        {"size_law": rows},
        [DEFINITION] if texts else [],
    )


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    found = {"family": row["family"], "runs": str(row["runs"]), "groups": str(row["groups"])}
    for name in _NUMBERS:
        ends = part.interval(row[f"{name}_low"], row[f"{name}_high"])
        found[name] = part.number(row[name]) + (f" ({ends})" if ends != "-" else "")
    return found | {"deviation": part.number(100 * row["deviation"], "{:.2g}%")}
