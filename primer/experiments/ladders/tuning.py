"""The best learning rate at the smallest size of a ladder, by the losses of its tuning runs."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence

from primer.errors import RunError
from primer.experiments.ladders.changes import Change
from primer.experiments.sweeps.evaluations import losses
from primer.experiments.sweeps.expansion import SweepRun


@dataclasses.dataclass(frozen=True)
class Tuned:
    """What tuning has found for the model with a change.

    Attributes:
        losses: {learning rate: loss in nats per token at the last step}, nan for a run without.
    """

    losses: Mapping[float, float]

    @property
    def best(self) -> float:
        """The rate with the lowest loss."""
        found = {rate: loss for rate, loss in self.losses.items() if math.isfinite(loss)}
        return min(found, key=lambda rate: found[rate])

    def sentence(self, label: str) -> str:
        """Returns what was found, and whether a better rate may lie outside of those tried."""
        tried = ", ".join(
            f"{rate:g}: {loss:.4f}" if math.isfinite(loss) else f"{rate:g}: none"
            for rate, loss in sorted(self.losses.items())
        )
        end = ""
        if len(self.losses) > 1 and self.best in (min(self.losses), max(self.losses)):
            end = "; it is the last one in this direction: a better one may lie beyond (--rates)"
        return f"{label}: rate {self.best:g} of {tried} nats per token{end}"


def tuned(runs: Sequence[SweepRun], changes: Sequence[Change]) -> dict[str, Tuned]:
    """Returns {label of a change: what tuning has found}.

    Raises:
        RunError: no run of a change has a loss that is a number.
    """
    found = {}
    for change in changes:
        own = [run for run in runs if f"change={change.label}" in run.name.split(",")]
        found[change.label] = Tuned({run.settings["learning_rate"]: loss_of(run) for run in own})
        if not any(map(math.isfinite, found[change.label].losses.values())):
            raise RunError(
                f"no learning rate of {change.label} came to a loss that is a number: look at the "
                f"logs in {os.path.dirname(own[0].model_dir)}, and name other --rates"
            )
    return found


def loss_of(run: SweepRun) -> float:
    """Returns the loss of a run's last step that its training has evaluated; nan without one."""
    last = (rows[-1] for rows in losses.read(run.model_dir) if rows)
    found = [row for row in last if row["step"] == run.settings["steps"]]
    return float(found[-1].get("nats_per_token", math.nan)) if found else math.nan
