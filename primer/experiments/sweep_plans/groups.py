"""Runs of a sweep that are alike: but for the seed, or in their graph."""

import json
from collections.abc import Collection, Sequence

from primer.experiments.sweeps import expansion
from primer.experiments.sweeps.expansion import SweepRun

# Settings of which the graph's operations and their sizes do not depend.
_NOT_OF_GRAPH = ("seed", "steps", "learning_rate", "eval_every", "early_stop", "profile")


def of_seeds(runs: Sequence[SweepRun]) -> list[list[SweepRun]]:
    """Returns the runs, those together that differ in nothing but the seed; in their order."""
    return _grouped(runs, ("seed",))


def of_graphs(runs: Sequence[SweepRun]) -> list[list[SweepRun]]:
    """Returns the runs, those together whose steps take the same time and memory."""
    return _grouped(runs, _NOT_OF_GRAPH)


def name(runs: Sequence[SweepRun]) -> str:
    """Returns the name of runs that differ in the seed: theirs without it."""
    return expansion.without_seed(runs[0].name) or "run"


def _grouped(runs: Sequence[SweepRun], without: Collection[str]) -> list[list[SweepRun]]:
    found: dict[str, list[SweepRun]] = {}
    for run in runs:
        settings = {key: value for key, value in run.settings.items() if key not in without}
        key = json.dumps(settings, sort_keys=True, default=str)
        found.setdefault(key, []).append(run)
    return list(found.values())
