"""Groups, slots and weights of GShard's experts.

GShard (https://arxiv.org/abs/2006.16668), section 2.2 and algorithm 1, in the form of Lingvo's
`Top2GatingOnLogits` (https://github.com/tensorflow/lingvo, lingvo/core/gshard_layers.py). With S
tokens in a group, E experts, and f the capacity factor, an expert has for each group

    slots = expert_capacity, or if a share int(S f / E) is larger, that share
            rounded up to a multiple of capacity_multiple;   a share of 0 counts as 4

Lingvo also makes slots above S, which stay empty; here there are at most S. What else differs from
`MixtureOfExperts` without an assignment, unless `legacy_mtf_behavior`, which is Lingvo's default:

- The gates of a token are divided by the sum of those that got a slot, g_r / sum of kept g, so that
  the remaining expert gets the weight 1. Legacy: by their sum before slots are assigned; a choice
  without slot loses its weight.
- In the balance loss E sum_e f_e P_e of a group f and P are means over its text. Legacy: over all
  its positions, so that padding lowers the loss.
"""

import dataclasses
import math
from typing import Any

import gin
import mesh_tensorflow as mtf

from primer.common import checks
from primer.layers import mesh_layout

# The gatings that assign slots in the order of the tokens to several choices of each.
GATINGS = ("top_2", "top_n")
# The balance losses for which text and padding are told apart, besides the gating's own.
LOSSES = (None, "none", "gshard")


@gin.configurable
@dataclasses.dataclass(frozen=True)
class GShardAssignment:
    """How GShard's experts group tokens, count slots and weight outputs.

    Attributes:
        num_groups_train, num_groups_eval: the number of groups into which the tokens of a batch (of
            a microbatch, where training has several) are cut, in their order. None: each row is a
            group, whatever the mesh. Lingvo trains with as many groups as devices, and evaluates
            with rows.
        expert_capacity: the least number of slots; with a capacity factor of None the number.
        capacity_multiple: see above; 1: a share is not rounded up.
        legacy_mtf_behavior: see above.

    Raises:
        ValueError: the first setting that is invalid.
    """

    num_groups_train: int | None = None
    num_groups_eval: int | None = None
    expert_capacity: int | None = None
    capacity_multiple: int = 4
    legacy_mtf_behavior: bool = False

    def __post_init__(self) -> None:
        for name in ("num_groups_train", "num_groups_eval", "expert_capacity", "capacity_multiple"):
            value = getattr(self, name)
            if value is not None or name == "capacity_multiple":
                checks.whole_number(f"GShardAssignment.{name}", value, error=ValueError)
        name = "GShardAssignment.legacy_mtf_behavior"
        checks.boolean(name, self.legacy_mtf_behavior, ValueError)

    def check(
        self, owner: str, gating: str, balance_loss: str | None, fastmoe_workers: int | None
    ) -> None:
        """Raises a ValueError if a setting of the layer `owner` has no form of GShard's."""
        if gating not in GATINGS:
            raise ValueError(
                f"{owner}.assignment (the slot expert_assignment) is GShard's, and {owner}.gating "
                f"= {gating!r} (the slot expert_gating); expected 'top_2' or 'top_n', or the "
                "assignment None"
            )
        if balance_loss not in LOSSES:
            raise ValueError(
                f"{owner}.balance_loss = {balance_loss!r} (the slot expert_balance_loss): expected "
                f"None, 'gshard' or 'none' with GShard's {owner}.assignment"
            )
        if fastmoe_workers is not None:
            raise ValueError(
                f"{owner}.fastmoe_workers = {fastmoe_workers}: FastMoE has slots and weights of "
                f"its own; expected None, or {owner}.assignment = None"
            )

    def count_slots(
        self, group_size: int, num_experts: int, factor: float | None, least_share: int
    ) -> int:
        """Returns the number of slots of an expert for a group.

        Args:
            group_size: the number of tokens of a group.
            num_experts: the number of experts.
            factor: the capacity factor, or None for `expert_capacity`.
            least_share: what a share of 0 counts as, `min_expert_capacity`.
        """
        slots = self.expert_capacity or 0
        if factor is not None:
            share = int(group_size * factor / num_experts) or least_share
            if slots < share:
                slots = math.ceil(share / self.capacity_multiple) * self.capacity_multiple
        return min(group_size, slots)

    def group_size(self, x: mtf.Tensor, train: bool, model: Any) -> int:
        """Returns the number of tokens of a group.

        Args:
            x: a Tensor `[outer_batch, batch, ..., d_model]`, outer_batch only if there is one.
            train: whether the settings of training apply.
            model: a Unitransformer, for its layout.

        Raises:
            ValueError: the tokens cannot be cut into so many groups on this mesh.
        """
        dims = x.shape.dims[:-1]
        num_outer = dims[0].size if dims[0].name == "outer_batch" else 1
        batch_dim = dims[1] if dims[0].name == "outer_batch" else dims[0]
        num_tokens = mtf.Shape(dims).size
        number = self.num_groups_train if train else self.num_groups_eval
        if number is None:
            return num_tokens // (num_outer * batch_dim.size)
        parts = num_outer * mesh_layout.num_splits(model, batch_dim)
        if num_tokens % number or number % parts:
            raise ValueError(
                f"GShardAssignment.num_groups_{'train' if train else 'eval'} = {number} for a "
                f"batch of {num_tokens} tokens on {parts} processors that hold rows: expected a "
                f"divisor of {num_tokens} and a multiple of {parts}; or None, for which each row "
                "is a group"
            )
        return num_tokens // number
