"""How models with experts distribute the tokens of their last evaluation."""

import statistics
from collections.abc import Sequence
from typing import Any

from primer.experiments.report.analyses import part
from primer.experiments.report.analyses.part import Part, Table
from primer.experiments.report.sections import Contender, Section

HEADS = {
    "group": "group",
    "routers": "routers",
    "runs": "runs",
    "experts": "experts",
    "largest": "largest load",
    "smallest": "smallest load",
    "entropy": "entropy",
    "dropped": "dropped tokens",
}
_DEFINITION = (
    "Routers: of the last evaluated checkpoint, over all tokens that the evaluation has read, "
    "without padding; means over routers and seeds. Load: the share of the tokens' choices that an "
    "expert gets, times the number of experts: 1 is even. Entropy: of the router's distribution "
    "over the experts, in nats, mean over tokens; at most the log of the number of experts. "
    "Dropped tokens: the share that chose no expert."
)


def parts(section: Section) -> list[Part]:
    """Returns the part on routers; [] where no result of a section has their statistics."""
    rows = [row for contender in section.contenders for row in _rows(contender)]
    if not rows:
        return []
    names = list(dict.fromkeys(row["group"] for row in rows))
    texts = [_texts([row for row in rows if row["group"] == name]) for name in names]
    return [
        Part(
            "routers",
            "Routers of experts",
            [Table(HEADS, texts)],
            files={"routers": rows},
            definitions=[_DEFINITION],
        )
    ]


def _rows(contender: Contender) -> list[dict[str, Any]]:
    """Returns the statistics of each router of each final of a contender."""
    return [
        {
            "group": contender.name,
            "seed": curve.run.seed,
            "model_dir": curve.run.model_dir,
            "router": name,
            "experts": len(found["load"]),
            "largest": max(found["load"]) * len(found["load"]),
            "smallest": min(found["load"]) * len(found["load"]),
            "entropy": found["entropy"],
            "dropped": found["dropped_tokens"],
        }
        for curve in contender.finals
        for name, found in (curve.last.row.get("routers") or {}).items()
    ]


def _texts(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    def mean(key: str, template: str) -> str:
        return part.number(statistics.fmean(row[key] for row in rows), template)

    experts = sorted({row["experts"] for row in rows})
    return {
        "group": rows[0]["group"],
        "routers": str(len({row["router"] for row in rows})),
        "runs": str(len({row["model_dir"] for row in rows})),
        "experts": ", ".join(map(str, experts)),
        "largest": mean("largest", "{:.2f}"),
        "smallest": mean("smallest", "{:.2f}"),
        "entropy": mean("entropy", "{:.3f}"),
        "dropped": mean("dropped", "{:.2%}"),
    }
