"""The parts of a section on sizes and compute: laws, equal compute, implied savings."""

import dataclasses
import re
from collections.abc import Sequence

from primer.errors import UsageError
from primer.experiments.report import finals
from primer.experiments.report.analyses import (
    cells,
    compute_law,
    families,
    iso_flops,
    savings,
    scaling_figures,
    size_law,
)
from primer.experiments.report.analyses.families import Family
from primer.experiments.report.analyses.part import Part
from primer.experiments.report.sections import Section


def parts(section: Section, asymptote: float | None = None) -> list[Part]:
    """Returns the parts of a section; [] where no family has several sizes or lengths.

    Args:
        section: a section of the report.
        asymptote: E of the laws where it is pinned.

    Raises:
        UsageError: a final loss is not above the pinned asymptote.
    """
    found = [
        family
        for family in families.families(section.contenders, families.SCALE)
        if len(cells.of_family(family, section.unit)[0]) > 1
    ]
    if not found:
        return []
    _check_asymptote(found, section.unit, asymptote)
    laws = [compute_law.fit_family(family, section.unit, asymptote) for family in found]
    return [
        _compute(section, laws, asymptote),
        *_sizes(section, found, asymptote),
        *_equal_compute(section, found),
        *_savings(section, found, laws),
    ]


def _check_asymptote(found: Sequence[Family], unit: str, asymptote: float | None) -> None:
    if asymptote is None:
        return
    every = [cell for family in found for cell in cells.of_family(family, unit)[0]]
    least = min(loss for cell in every for loss in cell.losses.values())
    if least <= asymptote:
        raise UsageError(
            f"--asymptote {asymptote:g}: a final loss is {least:.4f} {finals.UNITS[unit]}; "
            "expected a number below all of them, or leave it out to fit it"
        )


def _compute(
    section: Section, laws: Sequence[compute_law.ComputeLaw], asymptote: float | None
) -> Part:
    described = compute_law.describe(laws, asymptote is not None)
    figure = scaling_figures.compute_curves(laws, section.unit)
    caption = "Final losses against training FLOPs, the laws with their 95% intervals (log-log)"
    return dataclasses.replace(described, figures={"compute_law": (caption, figure)})


def _sizes(section: Section, found: Sequence[Family], asymptote: float | None) -> list[Part]:
    laws = [size_law.fit_family(family, section.unit, asymptote) for family in found]
    drawn = {
        f"size_law_{_file_name(family.name)}": (
            f"Final losses against training tokens, with the law of each size: {family.name}",
            scaling_figures.sizes_and_tokens(one.runs, one.law, section.unit),
        )
        for family, one in zip(found, laws)
        if one.law is not None
    }
    return [dataclasses.replace(size_law.describe([one.row for one in laws]), figures=drawn)]


def _equal_compute(section: Section, found: Sequence[Family]) -> list[Part]:
    of_families = [iso_flops.budgets(family, section.unit) for family in found]
    every = [budget for own in of_families for budget in own]
    if not every:
        return []
    drawn = {
        f"iso_flops_{_file_name(own[0].family)}": (
            f"Losses of several sizes at equal compute: {own[0].family}",
            scaling_figures.sizes_at_equal_compute(own, section.unit),
        )
        for own in of_families
        if own
    }
    return [dataclasses.replace(iso_flops.describe(every), figures=drawn)]


def _savings(
    section: Section, found: Sequence[Family], laws: Sequence[compute_law.ComputeLaw]
) -> list[Part]:
    own = (f.name for f in found if section.baseline in [c.name for c in f.contenders])
    baseline = next(own, "")
    factors = savings.of_section(laws, baseline)
    if not factors:
        return []
    described = savings.describe([at for at, _ in factors], baseline)
    if not any(along.is_measured.sum() > 1 for _, along in factors):
        return [described]
    caption = f"Implied savings over {baseline}, within both families' runs, with 95% intervals"
    figure = scaling_figures.compute_factors(
        [along for _, along in factors], [law.family for law in laws]
    )
    return [dataclasses.replace(described, figures={"savings": (caption, figure)})]


def _file_name(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_")
