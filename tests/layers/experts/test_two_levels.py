"""Experts on two levels: parity with Mesh-TF's MoE2D, meshes, settings."""

import numpy as np
import pytest
from mesh_tensorflow.transformer import moe

from primer.layers import MixtureOfExperts2D
from tests.layers.experts import experts_alone
from tests.layers.experts.experts_alone import IDS, THRESHOLD, check_parity


@pytest.mark.parametrize(
    "mode, settings",
    [
        ("train", {"use_second_place_loss": True}),
        ("train", {**THRESHOLD, "group_size": 24}),
        ("eval", {"capacity_factor_eval": 1.0}),
    ],
    ids=str,
)
def test_parity_with_mesh_tf(mode, settings):
    """Mesh-TF's MoE2D lacks three settings and fails; the test sets them."""
    sizes = {"hidden_size": 6, "expert_x": 3, "expert_y": 4, "group_size": 16}
    policies = {"second_policy_train": "all", "second_policy_eval": "all"}
    settings = {**sizes, **policies, **settings}
    theirs = moe.MoE2D(**settings)
    with pytest.raises(AttributeError, match="moe_min_expert_capacity"):
        experts_alone.run(theirs, sequence_id=IDS)
    theirs._hparams.moe_min_expert_capacity = 2
    theirs._hparams.moe_word_embed_mode = None
    theirs._hparams.moe_z_loss = 0.1
    ours = MixtureOfExperts2D(min_expert_capacity=2, z_loss=0.1, **settings)
    check_parity(ours, theirs, mode=mode, num_microbatches=2)


@pytest.mark.parametrize(
    "mesh_shape, layout",
    [
        ("rows:2,columns:2", "batch:rows,expert_x:rows,outer_batch:columns,expert_y:columns"),
        pytest.param(
            *("rows:2,columns:2", "batch:rows,expert_y:rows,expert_hidden:columns"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_mesh_equals_one_device(mesh_shape, layout):
    """With equal groups on the first level, and slots for all tokens on the second."""
    x = np.random.default_rng(1).standard_normal([2, 4, 12, 8]).astype(np.float32)
    experts = MixtureOfExperts2D(
        expert_x=2,
        expert_y=4,
        hidden_size=6,
        group_size=12,
        second_policy_train="all",
        capacity_factor_second_level=4.0,
        use_bias=True,
        loss_coef=0.0,
    )
    settings = dict(x=x, mode="train", gradients=True)
    expected = experts_alone.run(experts, **settings)
    values = experts_alone.run(experts, mesh_shape=mesh_shape, layout=layout, **settings)
    experts_alone.check_same(values, expected)
    expected = experts_alone.run(experts, x=x, exact=True)
    values = experts_alone.run(experts, x=x, exact=True, mesh_shape=mesh_shape, layout=layout)
    experts_alone.check_same(values, expected)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"expert_x": 1}, "MixtureOfExperts2D.expert_x = 1 with 2 experts per token"),
        ({"expert_y": 0}, "MixtureOfExperts2D.expert_y = 0"),
        ({"second_policy_eval": "x"}, "MixtureOfExperts2D.second_policy_eval = 'x'"),
    ],
    ids=str,
)
def test_invalid_settings_raise_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        MixtureOfExperts2D(**settings)
