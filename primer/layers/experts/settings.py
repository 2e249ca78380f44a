"""The routing settings of a layer of experts, checked, for training and for evaluation.

The names and meanings are Mesh-TensorFlow's (`MoE1D`), its `moe_gating` being `gating`; its
`expert_selection` has the paper's name, `expert_choice`. `naive` and `noisy` are FastMoE's gates.
"""

import dataclasses
from collections.abc import Callable

import mesh_tensorflow as mtf

from primer.common import checks
from primer.layers.experts.gshard.assignment import GShardAssignment
from primer.layers.experts.phase import Phase, check_one_of, listed

# The method that assigns tokens to experts -> the name of the router's variable in a checkpoint.
GATINGS = {
    "switch": "switch_gating",
    "switch_max": "switch_max_gating",
    "ntlb": "ntlb_gating",
    "top_2": "top_2_gating",
    "top_n": "top_n_gating",
    "expert_choice": "expert_selection_gating",
    "naive": "naive_gating",
    "noisy": "noisy_gating",
}
# The gatings in which several experts process a token, ranked by their gates; those with a policy
# for the second and further ones.
RANKED = ("top_2", "top_n", "naive", "noisy")
WITH_SECOND_POLICY = ("top_2", "top_n")
# The gatings that only a capacity makes what they are, and those whose router has a bias.
NEED_CAPACITY = ("expert_choice", "switch_max", "ntlb")
WITH_BIAS = ("naive",)
# The losses that balance the experts, in `balance`: of GShard (first choices), of Switch (all
# choices), of Shazeer et al. (gates; or gates and load, which only noise makes differentiable).
BALANCE_LOSSES = ("none", "gshard", "switch", "importance", "importance_and_load")
# The loss that a gating has of its own; for the others "switch".
OWN_LOSSES = {
    "top_2": "gshard",
    "top_n": "gshard",
    "expert_choice": "tokens",
    "naive": "none",
    "noisy": "importance_and_load",
}
# The gatings that FastMoE has in another form.
OF_FASTMOE = {"top_2": "GShardGate", "switch": "SwitchGate", "noisy": "NoisyGate"}


@dataclasses.dataclass(frozen=True)
class Gating:
    """The settings of routing, named as in MixtureOfExperts.

    Attributes:
        owner: the layer's name in gin, for messages.
        training, evaluation: the settings that differ between the two.
        uniform: (mesh, shape) -> random numbers in 0 ... 1 of the second policies; None: new ones.

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
    router_bias: bool | None = None
    balance_loss: str | None = None
    fastmoe_workers: int | None = None
    assignment: GShardAssignment | None = None
    uniform: Callable[..., mtf.Tensor] | None = None

    def __post_init__(self) -> None:
        check_one_of(f"{self.owner}.gating", self.gating, GATINGS)
        for phase in (self.training, self.evaluation):
            phase.check(self.owner, self.gating)
        for name in ("group_size", "min_expert_capacity", "ntlb_top_k", "num_experts_per_token"):
            checks.whole_number(f"{self.owner}.{name}", getattr(self, name), error=ValueError)
        self._check_no_capacity_limit()
        self._check_balance_loss()
        self._check_as_released()
        if self.assignment is not None:
            self.assignment.check(self.owner, self.gating, self.balance_loss, self.fastmoe_workers)

    def phase(self, train: bool) -> Phase:
        """Returns the settings of training or of evaluation."""
        return self.training if train else self.evaluation

    def limits_tokens(self, train: bool) -> bool:
        """Returns whether experts have a limited number of slots."""
        fixed = self.assignment is not None and self.assignment.expert_capacity is not None
        return fixed or self.phase(train).capacity_factor is not None

    def draw(self, mesh: mtf.Mesh, shape: mtf.Shape) -> mtf.Tensor:
        """Returns random numbers in 0 ... 1 for a second policy."""
        return (self.uniform or mtf.random_uniform)(mesh, shape)

    @property
    def corrects_gshard(self) -> bool:
        """Whether gates are normalized last and the balance loss leaves out padding."""
        return self.assignment is not None and not self.assignment.legacy_mtf_behavior

    @property
    def variable_name(self) -> str:
        """The scope of the router's variable."""
        return GATINGS[self.gating]

    @property
    def num_ranks(self) -> int:
        """The number of experts that a token chooses; 1 for expert_choice, where it varies."""
        if self.gating == "top_2":
            return 2
        return self.num_experts_per_token if self.gating in RANKED else 1

    @property
    def num_chosen(self) -> float:
        """The number of experts that a token chooses; for expert_choice its mean in training."""
        if self.gating == "expert_choice":
            assert self.training.capacity_factor is not None  # See _check_no_capacity_limit.
            return self.training.capacity_factor
        return self.num_ranks

    @property
    def has_router_bias(self) -> bool:
        """Whether the router has a bias."""
        return self.gating in WITH_BIAS if self.router_bias is None else self.router_bias

    @property
    def has_released_capacity(self) -> bool:
        """Whether slots are assigned, and balance is measured, as in FastMoE's code."""
        return self.fastmoe_workers is not None and self.gating != "noisy"

    @property
    def loss(self) -> str:
        """The balance loss: one of BALANCE_LOSSES, or "tokens" in expert choice."""
        return self.balance_loss or OWN_LOSSES.get(self.gating, "switch")

    def _check_no_capacity_limit(self) -> None:
        if self.training.capacity_factor is None and self.gating in NEED_CAPACITY:
            raise ValueError(
                f"{self.owner}.capacity_factor_train = None: {self.owner}.gating = "
                f"{self.gating!r} assigns tokens by the capacity of the experts; expected a "
                "number, or a gating without one: 'naive', 'noisy', 'switch', 'top_2', 'top_n'"
            )
        if self.evaluation.capacity_factor is None and self.gating == "expert_choice":
            raise ValueError(
                f"{self.owner}.capacity_factor_eval = None: with {self.owner}.gating = "
                "'expert_choice' the capacity is the number of tokens an expert chooses; expected "
                "a number"
            )

    def _check_balance_loss(self) -> None:
        if self.balance_loss is None:
            return
        check_one_of(f"{self.owner}.balance_loss", self.balance_loss, BALANCE_LOSSES)
        if self.gating == "expert_choice" and self.balance_loss != "none":
            raise ValueError(
                f"{self.owner}.balance_loss = {self.balance_loss!r}: with {self.owner}.gating = "
                "'expert_choice' the experts are balanced, and its own loss balances the tokens; "
                "expected None or 'none'"
            )
        if self.balance_loss == "importance_and_load" and self.gating != "noisy":
            raise ValueError(
                f"{self.owner}.balance_loss = 'importance_and_load': without the noise of "
                f"{self.owner}.gating = 'noisy' the load has no gradient, and the gating is "
                f"{self.gating!r}; expected 'importance', 'gshard', 'switch' or 'none'"
            )

    def _check_as_released(self) -> None:
        if self.fastmoe_workers is None:
            return
        checks.whole_number(f"{self.owner}.fastmoe_workers", self.fastmoe_workers, error=ValueError)
        if self.gating not in OF_FASTMOE:
            raise ValueError(
                f"{self.owner}.fastmoe_workers = {self.fastmoe_workers}: FastMoE has no other form "
                f"of {self.owner}.gating = {self.gating!r}; expected one of {listed(OF_FASTMOE)}, "
                "or None"
            )
        if self.gating != "noisy" and self.training.capacity_factor is None:
            raise ValueError(
                f"{self.owner}.capacity_factor_train = None: FastMoE's {OF_FASTMOE[self.gating]} "
                f"({self.owner}.fastmoe_workers = {self.fastmoe_workers}) needs a capacity; "
                "expected a number, or fastmoe_workers = None"
            )
        if self.balance_loss not in (None, "none"):
            raise ValueError(
                f"{self.owner}.balance_loss = {self.balance_loss!r}: FastMoE's "
                f"{OF_FASTMOE[self.gating]} ({self.owner}.fastmoe_workers = "
                f"{self.fastmoe_workers}) has a loss of its own; expected None or 'none'"
            )


def check_num_experts(gating: Gating, num_experts: int, setting: str) -> None:
    """Raises a ValueError if there are fewer experts than a token chooses."""
    if gating.num_ranks > num_experts:
        fewer = f", or a smaller {gating.owner}.num_experts_per_token (the slot expert_top_k)"
        if gating.gating == "top_2":
            fewer = ""
        raise ValueError(
            f"{gating.owner}.{setting} = {num_experts} with {gating.num_ranks} experts per token "
            f"({gating.owner}.gating = {gating.gating!r}): expected at least {gating.num_ranks} "
            f"experts{fewer}"
        )
    workers = gating.fastmoe_workers or 1
    if num_experts % workers:
        raise ValueError(
            f"{gating.owner}.fastmoe_workers = {workers}: expected a divisor of the number of all "
            f"experts, {gating.owner}.{setting} = {num_experts}"
        )
