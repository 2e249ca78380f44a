"""A mixture of mixtures of experts: a token chooses groups of experts, then experts within them.

Shazeer et al. (https://arxiv.org/abs/1701.06538), appendix B, as Mesh-TensorFlow's MoE2D has it. On
both levels a token has the best two: two experts of the first group and one of the second,

    y = sum over groups g of  G_g(x) sum over experts e of g of  G_e|g(x) f_ge(x)

`[..., d_model]` -> `[..., d_model]`. The groups are `expert_x`, the experts of each `expert_y`: on
a mesh of two axes `expert_x` may be split over that of `batch`, `expert_y` over that of
`outer_batch`. Capacity, losses, evaluation and decoding without dropping are as in `layer`.
"""

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common import checks
from primer.layers import variable_scopes
from primer.layers.experts import (
    capacity,
    choices,
    feed_forward,
    groups,
    layer,
    router,
    routing,
    selected_dense,
    settings,
    undropped,
)


@variable_scopes.variables_under("MoE2D")
@gin.configurable
class MixtureOfExperts2D(transformer.TransformerLayer):
    """Experts on two levels; its variables are those of Mesh-TensorFlow's MoE2D."""

    def __init__(
        self,
        expert_x=8,
        expert_y=8,
        hidden_size=4096,
        activation="relu",
        dropout_rate=0.0,
        use_bias=False,
        second_policy_train="random",
        second_policy_eval="all",
        second_threshold_train=0.2,
        second_threshold_eval=0.2,
        capacity_factor_train=1.25,
        capacity_factor_eval=2.0,
        capacity_factor_second_level=1.0,
        min_expert_capacity=4,
        group_size=1024,
        loss_coef=1e-2,
        use_second_place_loss=False,
        z_loss=None,
    ):
        """Makes a layer. Defaults are Mesh-TensorFlow's, but deterministic in evaluation.

        Args:
            expert_x: the number of groups of experts, 2 or more.
            expert_y: the number of experts in each group, 2 or more.
            capacity_factor_second_level: the places of an expert, as a multiple of the places that
                its group has for each of its experts.
            hidden_size, activation, dropout_rate, use_bias, second_policy_train,
                second_policy_eval,
            second_threshold_train, second_threshold_eval, capacity_factor_train,
            capacity_factor_eval, min_expert_capacity, group_size, loss_coef, use_second_place_loss,
            z_loss: as for MixtureOfExperts, on both levels.

        Raises:
            ValueError: a setting that has no meaning.
        """
        owner = "MixtureOfExperts2D"
        self.experts = feed_forward.FeedForward(
            owner, hidden_size, activation, dropout_rate, use_bias
        )
        self.gating = settings.Gating(
            owner=owner,
            gating="top_2",
            training=settings.Phase(
                True, capacity_factor_train, second_policy_train, second_threshold_train
            ),
            evaluation=settings.Phase(
                False, capacity_factor_eval, second_policy_eval, second_threshold_eval
            ),
            use_second_place_loss=use_second_place_loss,
            loss_coef=loss_coef,
            z_loss=z_loss,
            group_size=group_size,
            min_expert_capacity=min_expert_capacity,
        )
        for name, number in (("expert_x", expert_x), ("expert_y", expert_y)):
            checks.whole_number(f"{owner}.{name}", number, error=ValueError)
            settings.check_ranks(self.gating, number, name)
        self.x, self.y = expert_x, expert_y
        self.capacity_factor_second_level = capacity_factor_second_level

    def call(self, context, x, losses=None):
        """Applies the layer: `[..., d_model]` in and out, with length or without it.

        The balance losses go to context.losses, if there are any and tokens may be dropped.
        """
        layer.refuse_ensembles(context, self.gating.owner)
        if layer.drops_no_token(context, self.gating):
            return self._undropped(context, x)
        y, loss = self._in_groups(context, x)
        layer.add_loss(context, loss, self.gating, x.dtype)
        return y

    def _in_groups(self, context, x):
        """Returns y and the loss of both levels."""
        tokens, grouped = layer.grouped_tokens(context, x, self.gating, "group_size_x")
        unsplit_dim, experts_dim = _both("expert_x", self.x)
        places_dim = capacity.places_dim(
            grouped.group_dim,
            unsplit_dim,
            self.gating.phase(context.train).capacity_factor,
            self.gating.min_expert_capacity,
            "expert_capacity_x",
        )
        plan, loss = routing.route(
            tokens, unsplit_dim, places_dim, self.gating, context, "outer_gating"
        )
        dims = [unsplit_dim, *grouped.dims[:-1], places_dim, grouped.model_dim]
        way = groups.exchange(dims, unsplit_dim, experts_dim, context.model)
        importance = mtf.reshape(_importance_of_places(plan, dims[:-1]), way.expert.dims[:-1])
        places = way.to_experts(tokens.x, plan)
        y, inner_loss = self._second_level(context, places, importance)
        return grouped.restore(way.to_tokens(y, plan, tokens.x.shape)), loss + inner_loss

    def _second_level(self, context, x, importance):
        """What the groups of experts make of their places.

        Args:
            context: a transformer.Context.
            x: a Tensor `[expert_x, outer_batch, batch, expert_capacity_x, d_model]`.
            importance: a Tensor, the same without d_model.

        Returns:
            y like x, and the loss.
        """
        group_size = self.gating.group_size
        grouped = groups.of(x, 2, group_size, context.model, "group_size_y")
        unsplit_dim, experts_dim = _both("expert_y", self.y)
        places_dim = capacity.places_dim(
            grouped.group_dim,
            unsplit_dim,
            self.capacity_factor_second_level,
            self.gating.min_expert_capacity,
            "expert_capacity_y",
        )
        tokens = routing.Tokens(grouped.gather(x), grouped.group_dim, grouped.gather(importance))
        outer_dim = x.shape.dims[0]
        plan, loss = routing.route(
            tokens, unsplit_dim, places_dim, self.gating, context, "inner_gating", [outer_dim]
        )
        dims = [unsplit_dim, *grouped.dims[:-1], places_dim, grouped.model_dim]
        way = groups.exchange(dims, unsplit_dim, experts_dim, context.model)
        places = way.to_experts(tokens.x, plan)
        y = self.experts.on_places(places, [experts_dim, outer_dim], grouped.model_dim, context)
        return grouped.restore(way.to_tokens(y, plan, tokens.x.shape)), loss

    def _undropped(self, context, x):
        x_dims, y_dims = _both("expert_x", self.x), _both("expert_y", self.y)
        experts_dims = [y_dims[1], x_dims[1]]
        tokens = undropped.on_every_part(x, experts_dims, context.model)
        index_x, gate_x = undropped.choose(tokens, x_dims[0], self.gating, context, "outer_gating")
        logits = self._inner_logits(context, tokens, index_x, x_dims[1], y_dims[0])
        index_y, gate_y = undropped.from_logits(
            logits, y_dims[0], self.gating, _importance_of_choices(gate_x), "inner_choice"
        )
        indices = [index_y, mtf.broadcast(index_x, index_y.shape)]
        y = undropped.mix(self.experts, tokens, indices, gate_x * gate_y, experts_dims, context)
        return mtf.reshape(y, x.shape)

    def _inner_logits(self, context, x, index, outer_dim, experts_dim):
        """The logits `[tokens..., choices, expert_y]` of the routers of the chosen groups."""
        x, model_dim = mtf.to_float(x), x.shape.dims[-1]
        kernel = mtf.layers.get_dense_kernel_weights(
            x,
            new_dims=[experts_dim],
            reduced_dims=[model_dim],
            expert_dims=[outer_dim],
            kernel_initializer=None,
            name="inner_gating",
            variable_dtype=router.exact(context.variable_dtype),
        )
        weights = selected_dense.Weights(kernel, None, model_dim, experts_dim, [outer_dim])
        return selected_dense.selected_dense(x, [index], weights)


def _both(name, size):
    """The Dimension of experts where it is not split over the mesh, and where it may be."""
    return mtf.Dimension(name + "_unsplit", size), mtf.Dimension(name, size)


def _importance_of_places(plan, dims):
    """1 for a token in its first group of experts, 0.5 in its second one, 0 for an empty place."""
    taken = mtf.reduce_sum(plan.dispatch, output_shape=dims)
    first = mtf.einsum([plan.dispatch, mtf.cast(plan.first, plan.dispatch.dtype)], dims)
    return 0.5 * mtf.to_float(taken + first)


def _importance_of_choices(gate):
    """The same for gates `[tokens..., choices]`, the first choice first."""
    rank = mtf.range(gate.mesh, gate.shape.dims[-1], tf.int32)
    return 0.5 * choices.possible(gate) * (1.0 + mtf.to_float(mtf.equal(rank, 0)))
