"""The difference of two models' losses on one text, and its standard error over documents.

Both models read the same documents, so their losses are compared document by document. What makes a
document hard for both cancels: the error of the difference is much smaller than those of the two
losses.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from primer.evaluation import totals
from primer.evaluation.paired import document_sums
from primer.evaluation.paired.document_sums import DocumentSums
from primer.evaluation.report import AS_RELEASED

Row = Mapping[str, Any]

NATS_PER_TOKEN, BITS_PER_BYTE = "nats_per_token", "bits_per_byte"
# Unit -> (its denominator, nats in one of it).
_UNITS = {NATS_PER_TOKEN: ("tokens", 1.0), BITS_PER_BYTE: ("bytes", math.log(2))}


@dataclasses.dataclass(frozen=True)
class Difference:
    """A model's loss minus the baseline's.

    Attributes:
        unit: NATS_PER_TOKEN or BITS_PER_BYTE.
        value: the difference; negative where the model is better.
        standard_error: of the difference, paired over documents; nan where there is none.
        documents: the number of documents.
        remark: why there is no standard error; None where there is one.
    """

    unit: str
    value: float
    standard_error: float
    documents: int
    remark: str | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% confidence interval, by Student's t; (nan, nan) without a standard error."""
        if not math.isfinite(self.standard_error):
            return math.nan, math.nan
        half = half_interval(self.standard_error, self.documents)
        return self.value - half, self.value + half

    @property
    def ratio(self) -> float:
        """The difference in standard errors; nan without one."""
        return self.value / self.standard_error if self.standard_error else math.nan


def half_interval(standard_error: float, number: int) -> float:
    """Returns half of a mean's 95% confidence interval, by Student's t.

    Args:
        standard_error: of the mean.
        number: of the values, at least 2.
    """
    from scipy import special

    return float(special.stdtrit(number - 1, 0.975)) * standard_error


def common_unit(rows: Sequence[Row]) -> str:
    """Returns the unit in which rows of one text are comparable.

    Args:
        rows: rows that `report.find_difference` finds comparable.
    """
    same_tokens = len({row["text_checksum"] for row in rows}) == 1
    return NATS_PER_TOKEN if same_tokens else BITS_PER_BYTE


def differences(rows: Sequence[Row], base: Row, unit: str) -> list[Difference]:
    """Returns the difference of each row to the baseline's.

    Args:
        rows: rows of the baseline's text, of other models; their sums are read from their
            directories.
        base: the row of the baseline.
        unit: of `common_unit`.
    """
    base_sums = document_sums.read(base)
    return [_difference(row, base, base_sums, unit) for row in rows]


def _difference(row, base, base_sums, unit):
    sums = document_sums.read(row)
    remark = _obstacle(row, base, sums, base_sums, unit)
    error = math.nan if remark else _paired_error(sums, base_sums, unit)
    return Difference(unit, row[unit] - base[unit], error, row["documents"], remark)


def _obstacle(row, base, sums, base_sums, unit):
    """Why the difference has no standard error, or None."""
    if row["protocol"] == AS_RELEASED:
        return "rows of the protocol as_released are not independent documents"
    if row["documents"] < 2:
        return "the text is one document"
    for found, of in ((sums, row), (base_sums, base)):
        if found is None:
            path = document_sums.path_of(of)
            return f"{path} is missing or damaged (--again computes the sums of documents again)"
    if not _are_paired(sums, base_sums, unit):
        return "the documents are not the same ones in the same order"
    if not math.isfinite(row["nats"] - base["nats"]):
        return "a loss is not finite"
    return None


def _are_paired(sums: DocumentSums, base: DocumentSums, unit: str) -> bool:
    """Whether the documents of both are the same, as far as their counts show."""
    names = sums.counts.keys() & base.counts.keys()
    if unit != NATS_PER_TOKEN:  # Another vocabulary has other tokens.
        names -= {"tokens"}
    return bool(names) and all(np.array_equal(sums.counts[n], base.counts[n]) for n in names)


def _paired_error(sums, base, unit):
    count, nats = _UNITS[unit]
    return totals.standard_error((sums.nats - base.nats) / nats, sums.counts[count])
