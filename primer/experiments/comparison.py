"""What was seen, in sentences: models compared at equal tokens and at equal time."""

import numpy as np


def comparison_sentences(results, baseline="transformer") -> list:
    """Compares each model with the baseline, whatever comes out.

    Args:
        results: dicts with "name", "label" and "checkpoints", rows with "tokens_trained",
            "seconds", "nats_per_token" and "perplexity_per_token" in the order of their steps.
        baseline: the name of the one that the others are compared with.
    """
    base = next(result for result in results if result["name"] == baseline)
    others = [result for result in results if result is not base]
    return [by_tokens(base, other) for other in others] + [by_time(base, other) for other in others]


def by_tokens(base, other) -> str:
    """The perplexities after the same tokens, and their ratio."""
    here, there = other["checkpoints"][-1], base["checkpoints"][-1]
    ratio = here["perplexity_per_token"] / there["perplexity_per_token"] - 1
    return (
        f"After the same {here['tokens_trained']:,} tokens: {other['label']} "
        f"{here['perplexity_per_token']:.1f}, {base['label']} {there['perplexity_per_token']:.1f} "
        f"perplexity per token ({_signed(ratio)})."
    )


def by_time(base, other) -> str:
    """The speed, and when the other model was as good as the baseline in the end."""
    end, base_end = other["checkpoints"][-1], base["checkpoints"][-1]
    text = (
        f"{other['label']} took {end['seconds'] / base_end['seconds']:.2f} times the "
        f"{base['label']}'s time for them"
    )
    needed = seconds_to_reach(other["checkpoints"], base_end["nats_per_token"])
    if needed is None:
        return f"{text}, and was at no time as good as the {base['label']} at its end."
    share = needed / base_end["seconds"]
    earlier = "at or before" if needed == other["checkpoints"][0]["seconds"] else "at about"
    return (
        f"{text}; it was as good as the {base['label']} at its end {earlier} {share:.2f} of the "
        f"{base['label']}'s time."
    )


def seconds_to_reach(rows, nats):
    """The seconds at which a curve first is at `nats` or below, or None.

    Between two evaluations the curve is a straight line.
    """
    for before, after in zip([None, *rows], rows, strict=False):
        if after["nats_per_token"] > nats:
            continue
        if before is None:
            return after["seconds"]
        losses = [after["nats_per_token"], before["nats_per_token"]]
        return float(np.interp(nats, losses, [after["seconds"], before["seconds"]]))
    return None


def _signed(ratio) -> str:
    """0.1 -> "10.0% higher"."""
    return f"{abs(ratio):.1%} {'lower' if ratio < 0 else 'higher'}"
