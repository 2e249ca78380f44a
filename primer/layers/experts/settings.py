"""The routing settings of a layer of experts, checked, for training and for evaluation.

The names and meanings are Mesh-TensorFlow's (`MoE1D`), its `moe_gating` being `gating`; its
`expert_selection` has the paper's name, `expert_choice`.
"""

import dataclasses
from collections.abc import Collection, Iterable

from primer.common import checks

# The method that assigns tokens to experts -> the name of the router's variable in a checkpoint.
GATINGS = {
    "switch": "switch_gating",
    "switch_max": "switch_max_gating",
    "ntlb": "ntlb_gating",
    "top_2": "top_2_gating",
    "top_n": "top_n_gating",
    "expert_choice": "expert_selection_gating",
}
# Whether a token's second and further experts are used: always, never, where the gate is above
# a threshold, or with the probability gate / threshold.
SECOND_POLICIES = ("all", "none", "threshold", "random")
# How the first expert is chosen: the best one, the best one after noise on the router's input
# (in training only), or one sampled from the router's distribution.
SWITCH_POLICIES = ("argmax", "input_jitter", "input_dropout", "sample")
# The gatings in which several experts process a token, ranked by their gates.
RANKED = ("top_2", "top_n")


@dataclasses.dataclass(frozen=True)
class Phase:
    """The settings of training, or those of evaluation; named as in MixtureOfExperts."""

    train: bool
    capacity_factor: float | None
    second_policy: str
    second_threshold: float
    switch_policy: str = "argmax"


@dataclasses.dataclass(frozen=True)
class Gating:
    """The settings of routing, named as in MixtureOfExperts.

    Attributes:
        owner: the layer's name in gin, for messages.
        training, evaluation: the settings that differ between the two.

    Raises:
        ValueError: the first setting that is invalid.
    """

    owner: str
    gating: str
    training: Phase
    evaluation: Phase
    num_experts_per_token: int = 2
    ntlb_top_k: int = 4
    switch_jitter: float = 0.0
    switch_dropout: float = 0.0
    switch_temperature: float = 1.0
    use_second_place_loss: bool = False
    loss_coef: float = 1e-2
    z_loss: float | None = None
    group_size: int = 1024
    min_expert_capacity: int = 4

    def __post_init__(self) -> None:
        self._one_of("gating", self.gating, GATINGS)
        for phase, name in ((self.training, "train"), (self.evaluation, "eval")):
            self._check_phase(phase, name)
        for name in ("group_size", "min_expert_capacity", "ntlb_top_k", "num_experts_per_token"):
            checks.whole_number(f"{self.owner}.{name}", getattr(self, name), error=ValueError)
        self._check_no_capacity_limit()

    def phase(self, train: bool) -> Phase:
        """Returns the settings of training or of evaluation."""
        return self.training if train else self.evaluation

    @property
    def variable_name(self) -> str:
        """The scope of the router's variable."""
        return GATINGS[self.gating]

    @property
    def num_ranks(self) -> int:
        """The number of experts that a token chooses; 1 for expert_choice, where it varies."""
        return {"top_2": 2, "top_n": self.num_experts_per_token}.get(self.gating, 1)

    @property
    def num_chosen(self) -> float:
        """The number of experts that a token chooses; for expert_choice its mean in training."""
        if self.gating == "expert_choice":
            assert self.training.capacity_factor is not None  # See _check_no_capacity_limit.
            return self.training.capacity_factor
        return self.num_ranks

    def _check_phase(self, phase: Phase, name: str) -> None:
        self._one_of(f"second_policy_{name}", phase.second_policy, SECOND_POLICIES)
        self._one_of(f"switch_policy_{name}", phase.switch_policy, SWITCH_POLICIES)
        if phase.switch_policy == "sample" and self.gating in ("ntlb", "expert_choice"):
            raise ValueError(
                f"{self.owner}.switch_policy_{name} = 'sample': {self.owner}.gating = "
                f"{self.gating!r} ranks experts and cannot sample them; expected one of "
                f"{_listed(SWITCH_POLICIES[:-1])}"
            )
        factor = phase.capacity_factor
        if factor is not None and factor <= 0:
            raise ValueError(
                f"{self.owner}.capacity_factor_{name} = {factor!r}: expected a number above 0, the "
                "slots of an expert as a multiple of its even share of the tokens"
            )

    def _check_no_capacity_limit(self) -> None:
        if self.training.capacity_factor is None:
            raise ValueError(
                f"{self.owner}.capacity_factor_train = None: training needs a fixed number of "
                "slots for each expert; only capacity_factor_eval may be None (no token is dropped)"
            )
        if self.evaluation.capacity_factor is None and self.gating == "expert_choice":
            raise ValueError(
                f"{self.owner}.capacity_factor_eval = None: with {self.owner}.gating = "
                "'expert_choice' the capacity is the number of tokens an expert chooses; expected "
                "a number"
            )

    def _one_of(self, name: str, value: object, allowed: Collection[str]) -> None:
        if value not in allowed:
            raise ValueError(f"{self.owner}.{name} = {value!r}: expected one of {_listed(allowed)}")


def check_num_experts(gating: Gating, num_experts: int, setting: str) -> None:
    """Raises a ValueError if there are fewer experts than a token chooses."""
    if gating.num_ranks > num_experts:
        raise ValueError(
            f"{gating.owner}.{setting} = {num_experts} with {gating.num_ranks} experts per token "
            f"({gating.owner}.gating = {gating.gating!r}): expected at least {gating.num_ranks} "
            "experts"
        )


def _listed(values: Iterable[object]) -> str:
    return ", ".join(repr(value) for value in values)
