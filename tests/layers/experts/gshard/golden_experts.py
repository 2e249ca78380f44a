"""Golden files of Lingvo's GShard models with experts, and our models with their weights."""

import functools

from tests import gin_models
from tests.layers import helpers, routing_margin
from tests.layers.gshard import golden, names

# A block has attention, experts, attention, a dense layer; Lingvo numbers sublayers.
LAYERS_PER_BLOCK = 4
_OF_EXPERTS = {
    "moe/ffw/top_2_gating/w": "MoE1D/top_2_gating/kernel",
    **{f"moe/moe/{name}": f"MoE1D/{name}/kernel" for name in ("wi", "wi_0", "wi_1", "wo")},
}
OF_LAYER = {**names.OF_LAYER, **_OF_EXPERTS}


class ExpertGolden(golden.Golden):
    """A golden file; `key` of a result is such as `packed/loss` or `eval/plain/loss`."""

    def by_prefix(self, prefix):
        """See base class."""
        found = helpers.by_prefix(self.arrays, prefix)
        return {names.ours(n, LAYERS_PER_BLOCK, OF_LAYER): value for n, value in found.items()}

    def build(self, bindings=(), **where):
        """See base class."""
        settings = self.settings
        files = [*settings.files, "architectures/gshard_experts.gin"]
        all_bindings = (*settings.bindings, *self.expert_bindings, *bindings)
        return gin_models.build(files, all_bindings, settings.vocabulary_size, **where)

    @property
    def expert_bindings(self):
        """The settings of the experts, as gin bindings."""
        settings, builder = self.settings, self.settings.of_builder
        gated = settings.flag("moe_gated_gelu")
        factor = builder("capacity_factor") or None
        found = {
            "num_experts": int(builder("e_dim")),
            "MixtureOfExperts.hidden_size": int(builder("moe_hidden_dim")),
            "MixtureOfExperts.activation": ["gelu", "linear"] if gated else ["relu"],
            "MixtureOfExperts.loss_coef": settings.number("aux_loss_coef"),
            "capacity_factor_train": factor,
            "capacity_factor_eval": factor,
            "expert_second_policy": repr(settings.text("builder.second_expert_policy")),
            "GShardAssignment.expert_capacity": int(builder("c_dim")) or None,
            "GShardAssignment.num_groups_train": int(builder("num_groups")),
            "GShardAssignment.legacy_mtf_behavior": settings.flag("builder.legacy_mtf_behavior"),
        }
        return tuple(f"{name} = {value}" for name, value in found.items())


read = functools.cache(ExpertGolden)


@functools.cache
def computed(variant, batch, mode, *bindings, gradients=False, mesh_shape="", layout=""):
    """Returns `golden.forward` of a model with experts."""
    found, where = read(variant), dict(mesh_shape=mesh_shape, layout=layout)
    with routing_margin.ignored():
        return golden.forward(found, found.batch(batch), bindings, mode, gradients, **where)
