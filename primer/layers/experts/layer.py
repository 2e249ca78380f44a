"""A mixture of experts in the place of a feed-forward layer.

Shazeer et al. (https://arxiv.org/abs/1701.06538), GShard (https://arxiv.org/abs/2006.16668), Switch
Transformer (https://arxiv.org/abs/2101.03961), ST-MoE (https://arxiv.org/abs/2202.08906), expert
choice (https://arxiv.org/abs/2202.09368). A router chooses a few of many feed-forward networks for
every token, so that parameters grow and the work for a token does not:

    y = sum over the chosen experts e of  gate_e(x) f_e(x)      [..., d_model] -> [..., d_model]

In training, and in evaluation as other systems released it, an expert has a limited room for each
group of tokens (`capacity`). Decoding, evaluation in marked graphs (`primer.common.graph_marks`),
and capacity_factor_eval = None drop no token (`undropped`): then y of a token depends on its x
alone. Expert choice is the exception: there experts look at whole groups, by its nature.
"""

import gin
import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import transformer

from primer.common import checks
from primer.common import graph_marks as marks
from primer.layers import variable_scopes
from primer.layers.experts import (
    capacity,
    feed_forward,
    groups,
    padding,
    routing,
    settings,
    undropped,
)


@variable_scopes.variables_under("MoE1D")
@gin.configurable
class MixtureOfExperts(transformer.TransformerLayer):
    """A layer of experts; its variables are those of Mesh-TensorFlow's MoE1D."""

    def __init__(
        self,
        num_experts=16,
        hidden_size=4096,
        activation="relu",
        dropout_rate=0.0,
        use_bias=False,
        gating="top_2",
        num_experts_per_token=3,
        ntlb_top_k=4,
        switch_policy_train="input_jitter",
        switch_policy_eval="argmax",
        switch_jitter=1e-2,
        switch_dropout=0.1,
        switch_temperature=1.0,
        second_policy_train="random",
        second_policy_eval="all",
        second_threshold_train=0.2,
        second_threshold_eval=0.2,
        capacity_factor_train=1.25,
        capacity_factor_eval=2.0,
        min_expert_capacity=4,
        group_size=1024,
        loss_coef=1e-2,
        use_second_place_loss=False,
        z_loss=None,
    ):
        """Makes a layer. Defaults are Mesh-TensorFlow's, but deterministic in evaluation.

        Args:
            num_experts: the number of experts, 1 or more.
            hidden_size, activation, dropout_rate, use_bias: of each expert, as in DenseReluDense.
            gating: how tokens and experts find each other: "switch" (one expert a token),
                "switch_max" (the same, a full expert keeps the tokens with the highest gates),
                "ntlb" (the same, who finds an expert full tries the next), "top_2", "top_n",
                "expert_choice".
            num_experts_per_token: for "top_n".
            ntlb_top_k: for "ntlb", how many experts a token tries.
            switch_policy_train, switch_policy_eval: "argmax"; "input_jitter" and "input_dropout"
                add noise to the router's input in training; "sample" draws the expert ("switch" and
                "switch_max"). For the ranked gatings only the noise counts.
            switch_jitter: the noise of "input_jitter" is a factor in 1 - jitter ... 1 + jitter.
            switch_dropout: the fraction that "input_dropout" drops.
            switch_temperature: of "sample".
            second_policy_train, second_policy_eval: for "top_2" and "top_n", whether experts of
                rank 2 and more are used: "all", "none", "threshold" (if their gate is above it),
                "random" (with probability gate / threshold).
            second_threshold_train, second_threshold_eval: that threshold.
            capacity_factor_train, capacity_factor_eval: the places of an expert for each group, as
                a multiple of tokens / experts; None in evaluation: no token is dropped.
            min_expert_capacity: at least so many places.
            group_size: the largest number of tokens in a group.
            loss_coef: what the balance loss and the z-loss are multiplied by.
            use_second_place_loss: whether second choices have a balance loss too.
            z_loss: the coefficient of the z-loss in training, multiplied by loss_coef as well.

        Raises:
            ValueError: a setting that has no meaning.
        """
        owner = "MixtureOfExperts"
        checks.whole_number(f"{owner}.num_experts", num_experts, error=ValueError)
        self.num_experts = num_experts
        self.experts = feed_forward.FeedForward(
            owner, hidden_size, activation, dropout_rate, use_bias
        )
        self.gating = settings.Gating(
            owner=owner,
            gating=gating,
            training=settings.Phase(
                True,
                capacity_factor_train,
                second_policy_train,
                second_threshold_train,
                switch_policy_train,
            ),
            evaluation=settings.Phase(
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
        )
        settings.check_ranks(self.gating, num_experts, "num_experts")

    def call(self, context, x, losses=None):
        """Applies the layer: `[..., d_model]` in and out, with length or without it.

        The balance loss goes to context.losses, if there are any and tokens may be dropped.
        """
        refuse_ensembles(context, self.gating.owner)
        if drops_no_token(context, self.gating):
            return self._undropped(context, x)
        y, loss = self._in_groups(context, x)
        add_loss(context, loss, self.gating, x.dtype)
        return y

    def _undropped(self, context, x):
        experts_dim = mtf.Dimension("experts", self.num_experts)
        tokens = undropped.on_every_part(x, [experts_dim], context.model)
        index, gate = undropped.choose(
            tokens, self._unsplit_dim, self.gating, context, self.gating.variable_name
        )
        y = undropped.mix(self.experts, tokens, [index], gate, [experts_dim], context)
        return mtf.reshape(y, x.shape)

    def _in_groups(self, context, x):
        """Returns y and the loss."""
        tokens, grouped = grouped_tokens(context, x, self.gating)
        group_dim, gating = grouped.group_dim, self.gating
        places_dim = capacity.places(group_dim, self._unsplit_dim, gating, context.train)
        plan, loss = routing.route(
            tokens, self._unsplit_dim, places_dim, gating, context, gating.variable_name
        )
        dims = [self._unsplit_dim, *grouped.dims[:-1], places_dim, grouped.model_dim]
        experts_dim = mtf.Dimension("experts", self.num_experts)
        way = groups.exchange(dims, self._unsplit_dim, experts_dim, context.model)
        y = self.experts.on_places(
            way.to_experts(tokens.x, plan), [experts_dim], grouped.model_dim, context
        )
        return grouped.restore(way.to_tokens(y, plan, tokens.x.shape)), loss

    @property
    def _unsplit_dim(self):
        """The experts where they are not split over the mesh."""
        return mtf.Dimension("expert_unsplit", self.num_experts)


def grouped_tokens(context, x, gating, name="group"):
    """Returns routing.Tokens of x `[..., d_model]`, and the groups.Groups they are in."""
    grouped = groups.of_batch(x, gating.group_size, context.model, name)
    importance = padding.importance(context, x)
    if importance is not None:
        importance = grouped.gather(importance)
    return routing.Tokens(grouped.gather(x), grouped.group_dim, importance), grouped


def add_loss(context, loss, gating, dtype):
    """Adds the balance loss (and z-loss) to those of the model, if it has any."""
    if context.losses is None:
        return
    stack = getattr(context.model, "layer_stack", None)
    if getattr(stack, "_recompute_grads", False):
        raise ValueError(
            "LayerStack.recompute_grads = True: nothing but its output can leave a layer that is "
            f"recomputed, and {gating.owner} has a balance loss; set it to False"
        )
    context.losses.append(mtf.cast(loss * gating.loss_coef, dtype))


def refuse_ensembles(context, owner):
    """Raises a ValueError if the model is an ensemble."""
    if context.model.ensemble_dim:
        raise ValueError(
            f"Unitransformer.ensemble = {context.model.ensemble_dim.size}: {owner} cannot be part "
            "of an ensemble (as Mesh-TensorFlow's experts cannot); remove the setting, or give the "
            "models dense feed-forward layers"
        )


def drops_no_token(context, gating):
    """Whether every token reaches its experts, whatever else is in the batch.

    Expert choice cannot: it keeps its capacity, and evaluation and decoding say so.
    """
    if context.train:
        return False
    if gating.gating == "expert_choice":
        marks.add_caveat(
            f"{gating.owner}.gating = 'expert_choice': experts choose among all tokens of a group, "
            "so that the score of a token depends on the other texts of the batch and on what "
            "follows it."
        )
        return False
    exact = context.mode in ("first_part", "incremental") or marks.drops_no_tokens()
    return exact or gating.evaluation.capacity_factor is None
