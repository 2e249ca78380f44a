"""A hierarchical mixture of experts: a token chooses groups of experts, then experts within them.

Shazeer et al. (https://arxiv.org/abs/1701.06538), appendix B, as in Mesh-TensorFlow's MoE2D. A
token chooses the two best groups, two experts of the first group and one of the second,

    y = sum over groups g of  G_g(x) sum over experts e of g of  G_e|g(x) f_ge(x)

`[..., d_model]` -> `[..., d_model]`. `expert_x` numbers the groups, `expert_y` the experts of each:
on a mesh of two axes `expert_x` may be split over that of `batch`, `expert_y` over that of
`outer_batch`. Capacity, losses, evaluation and decoding without dropping are as in `layer`.
"""

from collections.abc import Sequence
from typing import Any

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common import checks
from primer.layers import variables
from primer.layers.experts import (
    balance,
    capacity,
    choices,
    feed_forward,
    groups,
    layer,
    phase,
    router,
    routing,
    settings,
    undropped,
)


@variables.stored_under("MoE2D")
@gin.configurable
class MixtureOfExperts2D(transformer.TransformerLayer):
    """Experts on two levels; its variables are those of Mesh-TensorFlow's MoE2D."""

    def __init__(
        self,
        expert_x: int = 8,
        expert_y: int = 8,
        hidden_size: int = 4096,
        activation: Any = "relu",
        dropout_rate: float = 0.0,
        use_bias: bool = False,
        second_policy_train: str = "random",
        second_policy_eval: str = "all",
        second_threshold_train: float = 0.2,
        second_threshold_eval: float = 0.2,
        capacity_factor_train: float = 1.25,
        capacity_factor_eval: float | None = 2.0,
        capacity_factor_second_level: float = 1.0,
        min_expert_capacity: int = 4,
        group_size: int = 1024,
        loss_coef: float = 1e-2,
        use_second_place_loss: bool = False,
        z_loss: float | None = None,
    ) -> None:
        """Makes a layer. Defaults are Mesh-TensorFlow's, but deterministic in evaluation.

        Args:
            expert_x: the number of groups of experts, 2 or more.
            expert_y: the number of experts in each group, 2 or more.
            capacity_factor_second_level: the slots of an expert, as a multiple of its even share
                of its group's slots.
            hidden_size, activation, dropout_rate, use_bias, second_policy_train,
                second_policy_eval, second_threshold_train, second_threshold_eval,
                capacity_factor_train, capacity_factor_eval, min_expert_capacity, group_size,
                loss_coef, use_second_place_loss, z_loss: as for MixtureOfExperts, on both levels.

        Raises:
            ValueError: the first setting that is invalid.
        """
        owner = "MixtureOfExperts2D"
        self.experts = feed_forward.FeedForward(
            owner, hidden_size, activation, dropout_rate, use_bias
        )
        self.gating = settings.Gating(
            owner=owner,
            gating="top_2",
            training=phase.Phase(
                True, capacity_factor_train, second_policy_train, second_threshold_train
            ),
            evaluation=phase.Phase(
                False, capacity_factor_eval, second_policy_eval, second_threshold_eval
            ),
            use_second_place_loss=use_second_place_loss,
            loss_coef=loss_coef,
            z_loss=z_loss,
            group_size=group_size,
            min_expert_capacity=min_expert_capacity,
        )
        if capacity_factor_train is None:
            raise ValueError(
                f"{owner}.capacity_factor_train = None: training on two levels needs a fixed "
                "number of slots for each expert; only capacity_factor_eval may be None, or use "
                "MixtureOfExperts"
            )
        for name, number in (("expert_x", expert_x), ("expert_y", expert_y)):
            checks.whole_number(f"{owner}.{name}", number, error=ValueError)
            settings.check_num_experts(self.gating, number, name)
        self.x, self.y = expert_x, expert_y
        self.capacity_factor_second_level = capacity_factor_second_level

    @property
    def chosen_experts(self) -> dict[tuple[str, ...], float]:
        """How many groups and experts a token chooses, by the dimensions that number them."""
        return {("expert_x",): 2, ("expert_y", "expert_x"): 3}

    def call(
        self,
        context: transformer.Context,
        x: mtf.Tensor,
        losses: list[mtf.Tensor] | None = None,
    ) -> mtf.Tensor:
        """Applies the layer: `[..., d_model]` in and out, with length or without it.

        Adds the balance losses to context.losses, unless that is None or no token can be dropped.

        Raises:
            ValueError: the model is an ensemble, or recomputes gradients.
        """
        layer.check_no_ensemble(context, self.gating.owner)
        if undropped.drops_no_token(context, self.gating):
            return self._undropped(context, x)
        y, loss = self._in_groups(context, x)
        balance.add_loss(context, loss, self.gating, x.dtype)
        return y

    def _in_groups(
        self, context: transformer.Context, x: mtf.Tensor
    ) -> tuple[mtf.Tensor, mtf.Tensor]:
        """Returns y and the loss of both levels."""
        # tokens.x is [outer_batch, batch, group_size_x, d_model]
        tokens, grouped = routing.grouped_tokens(context, x, self.gating, "group_size_x")
        unsplit_dim, experts_dim = _unsplit_and_split("expert_x", self.x)
        factor = self.gating.phase(context.train).capacity_factor
        assert factor is not None  # See undropped.drops_no_token.
        slots_dim = capacity.capacity_dim(
            grouped.group_dim, unsplit_dim, self.gating, factor, "expert_capacity_x"
        )
        plan, loss = routing.route(
            tokens, unsplit_dim, slots_dim, self.gating, context, "outer_gating"
        )
        # [expert_x_unsplit, outer_batch, batch, expert_capacity_x, d_model]
        dims = [unsplit_dim, *grouped.dims[:-1], slots_dim, grouped.model_dim]
        exchange = groups.exchange(dims, unsplit_dim, experts_dim, context.model)
        # [expert_x, outer_batch, batch_unsplit, expert_capacity_x]
        importance = mtf.reshape(_importance_of_slots(plan, dims[:-1]), exchange.expert.dims[:-1])
        # [expert_x, outer_batch, batch_unsplit, expert_capacity_x, d_model]
        slots = exchange.to_experts(tokens.x, plan)
        y, inner_loss = self._second_level(context, slots, importance)
        # [outer_batch, batch, group_size_x, d_model]
        y = exchange.to_tokens(y, plan, tokens.x.shape)
        assert loss is not None and inner_loss is not None  # Top-2 has a balance loss.
        return grouped.from_groups(y), loss + inner_loss

    def _second_level(
        self, context: transformer.Context, x: mtf.Tensor, importance: mtf.Tensor
    ) -> tuple[mtf.Tensor, mtf.Tensor | None]:
        """Applies the experts of each group to the slots of the group.

        Args:
            context: a transformer.Context.
            x: a Tensor `[expert_x, outer_batch, batch, expert_capacity_x, d_model]`.
            importance: a Tensor, the same without d_model.

        Returns:
            y like x, and the loss.
        """
        group_size = self.gating.group_size
        grouped = groups.after_lead_dims(x, 2, group_size, context.model, "group_size_y")
        unsplit_dim, experts_dim = _unsplit_and_split("expert_y", self.y)
        slots_dim = capacity.capacity_dim(
            grouped.group_dim,
            unsplit_dim,
            self.gating,
            self.capacity_factor_second_level,
            "expert_capacity_y",
        )
        # [expert_x, outer_batch, batch, group_size_y], with d_model for x
        tokens = routing.Tokens(
            grouped.to_groups(x), grouped.group_dim, grouped.to_groups(importance)
        )
        outer_dim = x.shape.dims[0]
        plan, loss = routing.route(
            tokens, unsplit_dim, slots_dim, self.gating, context, "inner_gating", [outer_dim]
        )
        # [expert_y_unsplit, expert_x, outer_batch, batch, expert_capacity_y, d_model]
        dims = [unsplit_dim, *grouped.dims[:-1], slots_dim, grouped.model_dim]
        exchange = groups.exchange(dims, unsplit_dim, experts_dim, context.model)
        # [expert_y, expert_x, outer_batch_unsplit, batch, expert_capacity_y, d_model]
        slots = exchange.to_experts(tokens.x, plan)
        y = self.experts.on_slots(slots, [experts_dim, outer_dim], grouped.model_dim, context)
        # [expert_x, outer_batch, batch, group_size_y, d_model]
        y = exchange.to_tokens(y, plan, tokens.x.shape)
        return grouped.from_groups(y), loss

    def _undropped(self, context: transformer.Context, x: mtf.Tensor) -> mtf.Tensor:
        x_dims = _unsplit_and_split("expert_x", self.x)
        y_dims = _unsplit_and_split("expert_y", self.y)
        experts_dims = [y_dims[1], x_dims[1]]
        tokens = undropped.unsplit_tokens(x, experts_dims, context.model)
        # [..., expert_choice] each
        index_x, gate_x = undropped.choose(tokens, x_dims[0], self.gating, context, "outer_gating")
        # [..., expert_choice, expert_y_unsplit]
        logits = router.logits_of_choices(
            tokens, index_x, x_dims[1], y_dims[0], context.variable_dtype, "inner_gating"
        )
        # [..., expert_choice, inner_choice] each
        index_y, gate_y = undropped.from_logits(
            logits, y_dims[0], self.gating, _importance_of_choices(gate_x), "inner_choice"
        )
        indices = [index_y, mtf.broadcast(index_x, index_y.shape)]
        y = undropped.combine_experts(
            self.experts, tokens, indices, gate_x * gate_y, experts_dims, context
        )
        return mtf.reshape(y, x.shape)  # [..., d_model]


def _unsplit_and_split(name: str, size: int) -> tuple[mtf.Dimension, mtf.Dimension]:
    """Returns the Dimension of experts where it is whole, and where the mesh may split it."""
    return mtf.Dimension(name + "_unsplit", size), mtf.Dimension(name, size)


def _importance_of_slots(plan: capacity.Plan, dims: Sequence[mtf.Dimension]) -> mtf.Tensor:
    """Returns 1 for a token in its first group of experts, 0.5 in its second, 0 for an empty slot.

    Args:
        plan: the capacity.Plan of the first level.
        dims: `[expert_x_unsplit, outer_batch, batch, expert_capacity_x]`, those of the result.
    """
    taken = mtf.reduce_sum(plan.dispatch, output_shape=dims)
    first = mtf.einsum([plan.dispatch, mtf.cast(plan.first, plan.dispatch.dtype)], dims)
    return 0.5 * mtf.to_float(taken + first)


def _importance_of_choices(gate: mtf.Tensor) -> mtf.Tensor:
    """Returns the same for gates `[tokens..., choices]`, the first choice at index 0."""
    rank = mtf.range(gate.mesh, gate.shape.dims[-1], tf.int32)  # [choices]
    return 0.5 * choices.is_not_padding(gate) * (1.0 + mtf.to_float(mtf.equal(rank, 0)))
