"""The final table: a row of numbers for each contender, and their text."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from primer.common.terminal import tables
from primer.experiments.report.runs import Curve
from primer.experiments.report.sections import Contender, Section

# Unit -> its words.
UNITS = {"nats_per_token": "nats per token", "bits_per_byte": "bits per byte"}
BASELINE = "baseline"
# Of a difference without an interval, as that of a single seed.
NO_INTERVAL = "no interval"


def rows(section: Section) -> list[dict[str, Any]]:
    """Returns the numbers of a section's contenders, nan where there are none.

    The keys: "group", "seeds" (n), "step", "tokens", "flops" and "seconds" of the training (means
    over seeds), "loss" and "standard_error" in the section's unit, "perplexity_per_token" (exp of
    the mean nats per token), "bits_per_byte" and "accuracy" (means), "common_seeds", "difference",
    "low", "high", "p_value", "adjusted_p", "detectable", "result" and "remarks".
    """
    return [_row(contender, section) for contender in section.contenders]


def _row(contender: Contender, section: Section) -> dict[str, Any]:
    of, found = contender.summary, contender.comparison
    nats = _mean([curve.last.row["nats_per_token"] for curve in contender.finals])
    return {
        "group": contender.name,
        "seeds": of.seeds,
        "step": max(curve.last.step for curve in contender.finals),
        **{key: _cost(contender.finals, key) for key in ("tokens", "flops", "seconds")},
        "loss": of.mean,
        "standard_error": of.standard_error,
        "perplexity_per_token": _perplexity(nats),
        "bits_per_byte": _mean([c.last.row.get("bits_per_byte") for c in contender.finals]),
        "accuracy": _mean([c.last.row.get("accuracy", math.nan) for c in contender.finals]),
        "common_seeds": found.seeds if found else of.seeds,
        "difference": found.difference if found else math.nan,
        "low": found.low if found else math.nan,
        "high": found.high if found else math.nan,
        "p_value": found.p_value if found else math.nan,
        "adjusted_p": found.adjusted_p if found else math.nan,
        "detectable": found.detectable if found else math.nan,
        "result": BASELINE if contender.name == section.baseline else _verdict(contender),
        "remarks": "; ".join(contender.remarks),
    }


def _perplexity(nats: float) -> float:
    return math.inf if nats > 700 else math.exp(nats)


def _verdict(contender: Contender) -> str:
    found = contender.comparison
    assert found is not None  # Only the baseline has none.
    if not found.remark:
        return found.verdict
    return NO_INTERVAL if math.isfinite(found.difference) else "not compared"


def _cost(curves: Sequence[Curve], key: str) -> float:
    return _mean([getattr(curve.last, key) for curve in curves])


def _mean(values: Sequence[Any]) -> float:
    numbers = [value for value in values if isinstance(value, (int, float))]
    return sum(numbers) / len(numbers) if len(numbers) == len(values) else math.nan


def columns(section: Section) -> dict[str, str]:
    """Returns {key of `texts`: head of its column} of a section's table, the answer first.

    Columns that would be empty, as those of the intervals of single seeds, are left out.
    """
    left_out: set[str] = set() if has_intervals(section) else {*_OF_INTERVALS}
    if not any(math.isfinite(c.summary.standard_error) for c in section.contenders):
        left_out.add("standard_error")
    more = {"perplexity_per_token": "perplexity per token", "bits_per_byte": "bits per byte"}
    heads = {
        "group": "group",
        "seeds": "seeds",
        "loss": UNITS[section.unit],
        "standard_error": "standard error",
        **({"accuracy": "accuracy"} if has_accuracy(section) else {}),
        "difference": "difference",
        "interval": "95% interval",
        "adjusted_p": "adjusted p",
        "result": "result",
        "p_value": "p",
        "detectable": "detectable",
        **(more if section.unit == "nats_per_token" else {}),
        "step": "step",
        "tokens": "tokens trained",
        "flops": "training FLOPs",
    }
    return {key: head for key, head in heads.items() if key not in left_out}


_OF_INTERVALS = ("interval", "adjusted_p", "p_value", "detectable")
# The columns that a terminal has room for.
_SHORT = (
    *("group", "seeds", "loss", "standard_error", "accuracy", "difference", "interval"),
    *("adjusted_p", "result", "detectable"),
)


def short_columns(section: Section) -> dict[str, str]:
    """Returns those of `columns` that a terminal has room for."""
    return {key: head for key, head in columns(section).items() if key in _SHORT}


def has_intervals(section: Section) -> bool:
    """Returns whether a difference of the section has an interval."""
    found = [c.comparison for c in section.contenders if c.comparison]
    return any(math.isfinite(one.low) for one in found)


def has_accuracy(section: Section) -> bool:
    """Returns whether a result counts the tokens that are the model's first choice."""
    points = (p for c in section.contenders for curve in c.curves for p in curve.points)
    return any("accuracy" in point.row for point in points)


def texts(row: dict[str, Any]) -> dict[str, str]:
    """Returns a row of `rows` as text, {key of `columns`: text}."""
    interval = f"{signed(row['low'])} to {signed(row['high'])}"
    return {
        "group": row["group"],
        "seeds": str(row["seeds"]),
        "loss": number(row["loss"], "{:.4f}"),
        "standard_error": number(row["standard_error"], "{:.4f}"),
        "accuracy": number(row["accuracy"], "{:.1%}"),
        "difference": signed(row["difference"]),
        "interval": interval if math.isfinite(row["low"]) else "-",
        "adjusted_p": number(row["adjusted_p"], "{:.2g}"),
        "result": row["result"],
        "p_value": number(row["p_value"], "{:.2g}"),
        "detectable": number(row["detectable"], "{:.4f}"),
        "perplexity_per_token": number(row["perplexity_per_token"], "{:,.2f}"),
        "bits_per_byte": number(row["bits_per_byte"], "{:.4f}"),
        "step": f"{row['step']:,}",
        "tokens": number(row["tokens"], "{:,.0f}"),
        "flops": tables.flops(row["flops"]) if math.isfinite(row["flops"]) else "-",
    }


def number(value: float, template: str) -> str:
    """Returns a number as text, "-" for nan."""
    return "-" if math.isnan(value) else template.format(value)


def signed(value: float) -> str:
    """Returns a difference as text, with a true minus sign: it may stand beside "to"."""
    return number(value, "{:+.4f}").replace("-", "\u2212") if math.isfinite(value) else "-"


def remarks(section: Section, found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns what a reader has to know of the numbers, each remark once with its groups.

    Args:
        section: the section.
        found: its `rows`.
    """
    groups: dict[str, list[str]] = {}
    for row in found:
        if row["remarks"]:
            groups.setdefault(row["remarks"], []).append(row["group"])
    return [*(f"{', '.join(own)}: {text}." for text, own in groups.items()), *section.left_out]


def sentence(row: dict[str, Any], section: Section) -> str:
    """Returns what a row says of its contender: "primer: 0.0810 nats per token lower than ..."."""
    unit, base, found = UNITS[section.unit], section.baseline, row["difference"]
    if math.isnan(found):
        return f"{row['group']}: not compared with {base}."
    amount = f"{abs(found):.4f} {unit} {'lower' if found < 0 else 'higher'} than {base}"
    if not math.isfinite(row["low"]):
        return f"{row['group']}: {amount}, without an interval."
    return (
        f"{row['group']}: {amount}, 95% interval {signed(row['low'])} to {signed(row['high'])} "
        f"over {row['common_seeds']} seeds: {row['result']}."
    )
