"""Sentences that compare models with a baseline at equal training tokens and at equal time."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# A model's result: "name", "label" and "checkpoints", as `demo.run_contender` returns it, and
# "difference", as `demo.add_differences` adds it.
Result = Mapping[str, Any]


def comparison_sentences(results: Sequence[Result], baseline: str = "transformer") -> list[str]:
    """Returns the leaders, then two sentences for each model but the baseline, better or worse.

    Args:
        results: dicts with "name", "label" and "checkpoints", rows with "tokens_trained",
            "seconds", "nats_per_token" and "perplexity_per_token" in the order of their steps.
        baseline: the name of the model that the others are compared with.
    """
    base = next(result for result in results if result["name"] == baseline)
    others = [result for result in results if result is not base]
    return [
        leaders(results),
        *(by_tokens(base, other) for other in others),
        *(by_time(base, other) for other in others),
    ]


def leaders(results: Sequence[Result]) -> str:
    """Returns a sentence with the lowest perplexities after equal tokens and after equal time.

    The time is that of the model that ends first.
    """
    seconds = min(result["checkpoints"][-1]["seconds"] for result in results)
    by_tokens = {r["label"]: r["checkpoints"][-1]["nats_per_token"] for r in results}
    by_time = {r["label"]: nats_at(r["checkpoints"], seconds) for r in results}
    first, second = (min(losses, key=losses.__getitem__) for losses in (by_tokens, by_time))
    return (
        f"Lowest perplexity after the same tokens: {first} ({math.exp(by_tokens[first]):.1f}); "
        f"after the same time, {seconds:.0f} s: {second} ({math.exp(by_time[second]):.1f})."
    )


def nats_at(rows: Sequence[Mapping[str, Any]], seconds: float) -> float:
    """Returns the loss of a curve at a time, interpolated linearly between two evaluations.

    Args:
        rows: the evaluations, with "seconds" and "nats_per_token".
        seconds: a time; before the first evaluation the loss is that of the first.
    """
    return float(
        np.interp(
            seconds, [row["seconds"] for row in rows], [row["nats_per_token"] for row in rows]
        )
    )


def by_tokens(base: Result, other: Result) -> str:
    """Returns a sentence with both perplexities after the same tokens, their ratio and its error.

    The error is that of the difference of the losses, if `other` has a "difference".
    """
    here, there = other["checkpoints"][-1], base["checkpoints"][-1]
    ratio = here["perplexity_per_token"] / there["perplexity_per_token"] - 1
    words = [_signed(ratio), *_with_error(other.get("difference"))]
    return (
        f"After the same {here['tokens_trained']:,} tokens: {other['label']} "
        f"{here['perplexity_per_token']:.1f}, {base['label']} {there['perplexity_per_token']:.1f} "
        f"perplexity per token ({'; '.join(words)})."
    )


def by_time(base: Result, other: Result) -> str:
    """Returns a sentence on the speed, and on when the model reached the baseline's last loss."""
    end, base_end = other["checkpoints"][-1], base["checkpoints"][-1]
    text = (
        f"{other['label']} took {end['seconds'] / base_end['seconds']:.2f} times the "
        f"{base['label']}'s time for them"
    )
    needed = seconds_to_reach(other["checkpoints"], base_end["nats_per_token"])
    if needed is None:
        return f"{text}, and did not reach the {base['label']}'s last loss."
    share = needed / base_end["seconds"]
    earlier = "at or before" if needed == other["checkpoints"][0]["seconds"] else "at about"
    return (
        f"{text}; it reached the {base['label']}'s last loss {earlier} {share:.2f} of the "
        f"{base['label']}'s time."
    )


def seconds_to_reach(rows: Sequence[Mapping[str, Any]], nats: float) -> float | None:
    """Returns the seconds at which a curve is first at `nats` or below, or None.

    The curve is interpolated linearly between two evaluations.

    Args:
        rows: the evaluations, with "seconds" and "nats_per_token".
        nats: a loss in nats per token.
    """
    for before, after in zip([None, *rows], rows, strict=False):
        if after["nats_per_token"] > nats:
            continue
        if before is None:
            return after["seconds"]
        losses = [after["nats_per_token"], before["nats_per_token"]]
        return float(np.interp(nats, losses, [after["seconds"], before["seconds"]]))
    return None


def _with_error(difference):
    """The difference of the losses with its standard error; [] without one."""
    if not difference or difference["remark"]:
        return []
    return [
        f"{difference['value']:+.4f} nats per token, standard error "
        f"{difference['standard_error']:.4f}, paired over {difference['documents']:,} documents"
    ]


def _signed(ratio: float) -> str:
    """0.1 -> "10.0% higher"."""
    return f"{abs(ratio):.1%} {'lower' if ratio < 0 else 'higher'}"
