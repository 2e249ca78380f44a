"""The key `stop_hopeless` of a sweep's file: when a run is stopped before its last step.

stop_hopeless:
  among: [size, architecture]    # only runs that have these settings in common are compared
  after: 200                     # never before this step
  least: 3                       # other runs that must have a loss at the step (3)
  margin: 0.05                   # nats per token above the median (0)

The median rule of Vizier (Golovin et al. 2017, https://doi.org/10.1145/3097983.3098043, section
3.2), at equal steps: a run is hopeless if its validation loss is above the median of the losses
that the other runs had at the same step.
"""

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from typing import Any

from primer.common import checks
from primer.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Rule:
    """When a run is hopeless.

    Attributes:
        among: the settings that compared runs have in common.
        after: the first step at which a run may be found hopeless.
        least: how many other runs must have a loss at the step.
        margin: by how many nats per token a loss has to be above their median.
    """

    among: tuple[str, ...]
    after: int
    least: int = 3
    margin: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Returns it as plain data, for the record of a run that it has stopped."""
        return {**dataclasses.asdict(self), "among": list(self.among)}


def read(where: str, content: Any, settings: Collection[str]) -> Rule | None:
    """Returns the rule of a sweep's file; None without one.

    Args:
        where: the place in the file, for messages.
        content: the value of `stop_hopeless`, or None.
        settings: the keys of the sweep's settings.

    Raises:
        UsageError: it is not a rule, or names a setting that the sweep does not have.
    """
    if content is None:
        return None
    known = [field.name for field in dataclasses.fields(Rule)]
    needed = ("among", "after")
    if not isinstance(content, dict) or not set(needed) <= set(content) <= set(known):
        raise UsageError(
            f"{where} = {content!r}: expected {{among: [settings], after: STEP}}, with `least` and "
            "`margin` if wanted"
        )
    checks.whole_number(f"{where}.after", content["after"])
    checks.whole_number(f"{where}.least", content.get("least", 3))
    checks.number_from_zero(f"{where}.margin", content.get("margin", 0.0))
    among = _among(f"{where}.among", content["among"], settings)
    return Rule(**{**content, "among": among, "margin": float(content.get("margin", 0.0))})


def _among(where: str, content: Any, settings: Collection[str]) -> tuple[str, ...]:
    if not isinstance(content, list):
        raise UsageError(f"{where} = {content!r}: expected a list of settings; [] for all runs")
    for key in content:
        if key not in settings:
            close = difflib.get_close_matches(str(key), settings, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(settings)}"
            raise UsageError(f"{where}: the sweep has no setting {key!r}; {hint}")
    return tuple(content)


def check_settings(rule: Rule | None, settings: Mapping[str, Any]) -> None:
    """Refuses a rule for a run without losses while it trains.

    Args:
        rule: the rule, or None.
        settings: the settings of the run.

    Raises:
        UsageError: the run has no `eval_every`.
    """
    if rule is not None and settings.get("eval_every") is None:
        raise UsageError(
            "stop_hopeless compares the validation losses of eval_every, which this run does not "
            "have: set eval_every, the steps between two of them"
        )
