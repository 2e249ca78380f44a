"""The settings of experts that differ between training and evaluation."""

import dataclasses
from collections.abc import Collection, Iterable

# Whether a token's second and further experts are used: always, never, where the gate is above
# a threshold, or with the probability gate / threshold; "sampling": whether they are drawn by their
# gates (`gshard.sampling`), and always used.
SECOND_POLICIES = ("all", "none", "threshold", "random", "sampling")
# How the first expert is chosen: the best one, the best one after noise on the router's input
# (in training only), or one sampled from the router's distribution.
SWITCH_POLICIES = ("argmax", "input_jitter", "input_dropout", "sample")


@dataclasses.dataclass(frozen=True)
class Phase:
    """The settings of training, or those of evaluation; named as in MixtureOfExperts."""

    train: bool
    capacity_factor: float | None
    second_policy: str
    second_threshold: float
    switch_policy: str = "argmax"

    def check(self, owner: str, gating: str) -> None:
        """Raises a ValueError for the first setting that is invalid.

        Args:
            owner: the layer's name in gin.
            gating: its gating.
        """
        name = "train" if self.train else "eval"
        check_one_of(f"{owner}.second_policy_{name}", self.second_policy, SECOND_POLICIES)
        check_one_of(f"{owner}.switch_policy_{name}", self.switch_policy, SWITCH_POLICIES)
        if self.switch_policy == "sample" and gating in ("ntlb", "expert_choice"):
            raise ValueError(
                f"{owner}.switch_policy_{name} = 'sample': {owner}.gating = {gating!r} ranks "
                f"experts and cannot sample them; expected one of {listed(SWITCH_POLICIES[:-1])}"
            )
        factor = self.capacity_factor
        if factor is not None and factor <= 0:
            raise ValueError(
                f"{owner}.capacity_factor_{name} = {factor!r}: expected a number above 0, the "
                "slots of an expert as a multiple of its even share of the tokens"
            )


def check_one_of(name: str, value: object, allowed: Collection[object]) -> None:
    """Raises a ValueError unless the value of a setting is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} = {value!r}: expected one of {listed(allowed)}")


def listed(values: Iterable[object]) -> str:
    """Returns values as text for messages."""
    return ", ".join(repr(value) for value in values)
