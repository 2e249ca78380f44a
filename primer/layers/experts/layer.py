"""A mixture of experts that replaces a feed-forward layer.

Shazeer et al. (https://arxiv.org/abs/1701.06538), GShard (https://arxiv.org/abs/2006.16668), Switch
Transformer (https://arxiv.org/abs/2101.03961), ST-MoE (https://arxiv.org/abs/2202.08906), expert
choice (https://arxiv.org/abs/2202.09368). A router chooses a few of many feed-forward networks for
every token, so that the parameters grow and the computation for a token does not:

    y = sum over the chosen experts e of  gate_e(x) f_e(x)      [..., d_model] -> [..., d_model]

With a capacity factor, in training and in evaluation as other systems released it, an expert has a
limited number of slots for each group of tokens (`capacity`). Without one no token is dropped
(`dropless` in training, `undropped` in evaluation), nor is one in decoding and in evaluation in
marked graphs (`primer.common.graph_marks`): then y of a token depends only on its x. Expert choice
always has a capacity, because its experts choose among the tokens of a group.

FastMoE (https://arxiv.org/abs/2103.13262) is gating "naive" or "noisy", no capacity, and biases.
Its GShardGate with random routing is "top_2" with second_policy_train = "random" and
second_threshold_train = 0.5; its SwitchGate is "switch". `num_experts` is the number of all
experts, FastMoE's `num_expert` that of one of its workers: num_expert * world_size.
"""

from typing import Any

import gin
import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import transformer

from primer.common import checks
from primer.layers import variables
from primer.layers.experts import (
    balance,
    capacity,
    feed_forward,
    groups,
    padding,
    phase,
    routing,
    settings,
    undropped,
)
from primer.layers.experts.dropless import layer_rows
from primer.layers.experts.gshard.assignment import GShardAssignment


@variables.stored_under("MoE1D")
@gin.configurable
class MixtureOfExperts(transformer.TransformerLayer):
    """A layer of experts; its variables are those of Mesh-TensorFlow's MoE1D."""

    def __init__(
        self,
        num_experts: int = 16,
        hidden_size: int = 4096,
        activation: Any = "relu",
        dropout_rate: float = 0.0,
        use_bias: bool = False,
        gating: str = "top_2",
        num_experts_per_token: int = 3,
        ntlb_top_k: int = 4,
        switch_policy_train: str | None = None,
        switch_policy_eval: str = "argmax",
        switch_jitter: float = 1e-2,
        switch_dropout: float = 0.1,
        switch_temperature: float = 1.0,
        second_policy_train: str = "random",
        second_policy_eval: str = "all",
        second_threshold_train: float = 0.2,
        second_threshold_eval: float = 0.2,
        capacity_factor_train: float | None = 1.25,
        capacity_factor_eval: float | None = 2.0,
        min_expert_capacity: int = 4,
        group_size: int = 1024,
        loss_coef: float = 1e-2,
        use_second_place_loss: bool = False,
        z_loss: float | None = None,
        router_bias: bool | None = None,
        balance_loss: str | None = None,
        fastmoe_workers: int | None = None,
        assignment: GShardAssignment | None = None,
    ) -> None:
        """Makes a layer. Defaults are Mesh-TensorFlow's, but deterministic in evaluation.

        Args:
            num_experts: the number of experts, 1 or more.
            hidden_size, activation, dropout_rate, use_bias: of each expert, as in DenseReluDense.
            gating: how tokens are assigned to experts: "switch" (one expert per token),
                "switch_max" (the same, a full expert keeps the tokens with the highest gates),
                "ntlb" (the same, a token whose expert is full gets the next best one), "top_2",
                "top_n", "expert_choice", "naive" (the softmax over the best experts' logits; no
                loss), "noisy" (the same with learned noise, Shazeer et al.).
            num_experts_per_token: only for "top_n", "naive" and "noisy".
            ntlb_top_k: only for "ntlb": how many experts are tried for a token.
            switch_policy_train, switch_policy_eval: "argmax"; "input_jitter" and "input_dropout"
                add noise to the router's input in training; "sample" samples the expert ("switch"
                and "switch_max"). The ranked gatings use only the noise. None in training:
                "argmax" for "naive" and "noisy", else "input_jitter".
            switch_jitter: the noise of "input_jitter" is a factor in 1 - jitter ... 1 + jitter.
            switch_dropout: the fraction that "input_dropout" drops.
            switch_temperature: the temperature of "sample".
            second_policy_train, second_policy_eval: for "top_2" and "top_n", whether experts of
                rank 2 and more are used: "all", "none", "threshold" (if their gate is above it),
                "random" (with probability gate / threshold), "sampling" (drawn by their gates).
            second_threshold_train, second_threshold_eval: that threshold.
            capacity_factor_train, capacity_factor_eval: the slots of an expert for each group, as
                a multiple of tokens / experts. None: no limit, no token is dropped.
            min_expert_capacity: the least number of slots.
            group_size: the largest number of tokens in a group.
            loss_coef: the factor of the balance loss and the z-loss.
            use_second_place_loss: whether second choices have a balance loss too.
            z_loss: the coefficient of the z-loss in training, multiplied by loss_coef as well.
            router_bias: whether the router has a bias; None: only that of "naive".
            balance_loss: "none", "gshard", "switch", "importance" or "importance_and_load" (only
                for "noisy"), see `balance`; None: the gating's own, for "naive" none.
            fastmoe_workers: for "switch", "top_2" and "noisy": capacity and loss as FastMoE's code
                computes them on so many workers (`gates.as_released`); None: as in the papers.
            assignment: for "top_2" and "top_n": groups, slots and weights as in GShard; or None.

        Raises:
            ValueError: the first setting that is invalid.
        """
        owner = "MixtureOfExperts"
        if switch_policy_train is None:
            switch_policy_train = "argmax" if gating in ("naive", "noisy") else "input_jitter"
        checks.whole_number(f"{owner}.num_experts", num_experts, error=ValueError)
        self.num_experts = num_experts
        self.experts = feed_forward.FeedForward(
            owner, hidden_size, activation, dropout_rate, use_bias
        )
        self.gating = settings.Gating(
            owner=owner,
            gating=gating,
            training=phase.Phase(
                True,
                capacity_factor_train,
                second_policy_train,
                second_threshold_train,
                switch_policy_train,
            ),
            evaluation=phase.Phase(
                False,
                capacity_factor_eval,
                second_policy_eval,
                second_threshold_eval,
                switch_policy_eval,
            ),
            num_experts_per_token=num_experts_per_token,
            ntlb_top_k=ntlb_top_k,
            switch_jitter=switch_jitter,
            switch_dropout=switch_dropout,
            switch_temperature=switch_temperature,
            use_second_place_loss=use_second_place_loss,
            loss_coef=loss_coef,
            z_loss=z_loss,
            group_size=group_size,
            min_expert_capacity=min_expert_capacity,
            router_bias=router_bias,
            balance_loss=balance_loss,
            fastmoe_workers=fastmoe_workers,
            assignment=assignment,
        )
        settings.check_num_experts(self.gating, num_experts, "num_experts")

    @property
    def chosen_experts(self) -> dict[tuple[str, ...], float]:
        """How many of the experts a token chooses, by the dimension that numbers them."""
        return {("experts",): self.gating.num_chosen}

    def call(
        self,
        context: transformer.Context,
        x: mtf.Tensor,
        losses: list[mtf.Tensor] | None = None,
    ) -> mtf.Tensor:
        """Applies the layer: `[..., d_model]` in and out, with length or without it.

        Adds the balance loss to context.losses, unless that is None, there is no such loss, or
        evaluation drops no token.

        Raises:
            ValueError: the model is an ensemble, or recomputes gradients with a loss.
        """
        check_no_ensemble(context, self.gating.owner)
        if undropped.drops_no_token(context, self.gating):
            return self._undropped(context, x)
        limited = self.gating.limits_tokens(context.train)
        y, loss = (self._in_groups if limited else self._dropless)(context, x)
        balance.add_loss(context, loss, self.gating, x.dtype)
        return y

    def _undropped(self, context: transformer.Context, x: mtf.Tensor) -> mtf.Tensor:
        experts_dim = mtf.Dimension("experts", self.num_experts)
        tokens = undropped.unsplit_tokens(x, [experts_dim], context.model)
        # [..., expert_choice] each
        index, gate = undropped.choose(
            tokens, self._unsplit_dim, self.gating, context, self.gating.variable_name
        )
        y = undropped.combine_experts(self.experts, tokens, [index], gate, [experts_dim], context)
        return mtf.reshape(y, x.shape)  # [..., d_model]

    def _dropless(
        self, context: transformer.Context, x: mtf.Tensor
    ) -> tuple[mtf.Tensor, mtf.Tensor | None]:
        """Returns y and the loss of training without capacity."""
        # In no groups: all dimensions but the last are those of tokens.
        tokens = routing.Tokens(x, x.shape.dims[-2], padding.importance(context, x))
        index, gate, loss = routing.choose(
            tokens, self._unsplit_dim, self.gating, context, self.gating.variable_name
        )
        experts_dim = mtf.Dimension("experts", self.num_experts)
        y = layer_rows.combine_experts(self.experts, x, index, gate, experts_dim, context)
        return y, loss

    def _in_groups(
        self, context: transformer.Context, x: mtf.Tensor
    ) -> tuple[mtf.Tensor, mtf.Tensor | None]:
        """Returns y and the loss."""
        # tokens.x is [outer_batch, batch, group, d_model]
        tokens, grouped = routing.grouped_tokens(context, x, self.gating)
        gating, factor = self.gating, self.gating.phase(context.train).capacity_factor
        slots_dim = capacity.capacity_dim(grouped.group_dim, self._unsplit_dim, gating, factor)
        plan, loss = routing.route(
            tokens, self._unsplit_dim, slots_dim, gating, context, gating.variable_name
        )
        # [expert_unsplit, outer_batch, batch, expert_capacity, d_model]
        dims = [self._unsplit_dim, *grouped.dims[:-1], slots_dim, grouped.model_dim]
        experts_dim = mtf.Dimension("experts", self.num_experts)
        exchange = groups.exchange(dims, self._unsplit_dim, experts_dim, context.model)
        # [experts, outer_batch, batch_unsplit, expert_capacity, d_model]
        slots = exchange.to_experts(tokens.x, plan)
        y = self.experts.on_slots(slots, [experts_dim], grouped.model_dim, context)
        # [outer_batch, batch, group, d_model]
        y = exchange.to_tokens(y, plan, tokens.x.shape)
        return grouped.from_groups(y), loss

    @property
    def _unsplit_dim(self) -> mtf.Dimension:
        """The Dimension of the experts where it is not split over the mesh."""
        return mtf.Dimension("expert_unsplit", self.num_experts)


def check_no_ensemble(context: transformer.Context, owner: str) -> None:
    """Raises a ValueError if the model is an ensemble; `owner` is the layer's name in gin."""
    if context.model.ensemble_dim:
        raise ValueError(
            f"Unitransformer.ensemble = {context.model.ensemble_dim.size}: {owner} does not "
            "support ensembles (nor do Mesh-TensorFlow's experts); remove the setting, or give the "
            "models dense feed-forward layers"
        )
