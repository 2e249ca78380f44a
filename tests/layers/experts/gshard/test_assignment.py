"""GShard's groups, slots and weights: counts, errors, and layers with them in every mode."""

import types

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers import GShardAssignment, MixtureOfExperts
from primer.layers.experts import routing
from tests import slow
from tests.layers import helpers
from tests.layers.experts import experts_alone
from tests.layers.experts.experts_alone import IDS, X, tight
from tests.layers.experts.test_layer import MESHES

DIMS = ("outer_batch", "batch", "group", "d_model")
LEGACY = GShardAssignment(legacy_mtf_behavior=True)


def layer(assignment=None, **settings):
    """Returns a layer with biases that drops choices: 12 tokens of a row, 4 experts, 4 slots."""
    settings = {"capacity_factor_train": 1.0, **settings}
    return tight("top_2", assignment=assignment or GShardAssignment(), **settings)


@pytest.mark.parametrize(
    ("settings", "factor", "slots"),
    [
        ({}, 1.0, 28),  # 25, rounded up to a multiple of 4.
        ({}, 0.96, 24),
        ({}, 0.01, 4),
        ({"capacity_multiple": 1}, 1.0, 25),
        ({"capacity_multiple": 8}, 1.0, 32),
        ({"expert_capacity": 25}, 1.0, 25),
        ({"expert_capacity": 24}, 1.0, 28),
        ({"expert_capacity": 3}, None, 3),
        ({"expert_capacity": 3}, 0.01, 4),
        ({"expert_capacity": 2000}, 1.0, 100),  # Lingvo: 2000, of which 1900 stay empty.
        ({}, 9.0, 100),
    ],
)
def test_slots_of_an_expert_for_a_group_of_100_tokens(settings, factor, slots):
    """Of four experts; the fourth column of Lingvo's rule, but for the bound."""
    assert GShardAssignment(**settings).count_slots(100, 4, factor, 4) == slots


@pytest.mark.parametrize(
    ("number", "names", "where", "size"),
    [
        (None, ("batch", "length"), {}, 6),
        (None, ("outer_batch", "batch", "length"), {}, 6),
        (8, ("batch", "length"), {}, 3),
        (2, ("batch", "length"), {}, 12),
        (2, ("outer_batch", "batch", "length"), {}, 24),
        (2, ("batch", "length"), {"layout": "batch:rows", "mesh_shape": "rows:2"}, 12),
    ],
)
def test_size_of_a_group(number, names, where, size):
    sizes = {"outer_batch": 2, "batch": 4, "length": 6}
    shape = mtf.Shape([*(mtf.Dimension(n, sizes[n]) for n in names), mtf.Dimension("d_model", 3)])
    x, model = (
        types.SimpleNamespace(shape=shape),
        types.SimpleNamespace(layout=None, mesh_shape=None),
    )
    vars(model).update(where)
    assignment = GShardAssignment(num_groups_train=number, num_groups_eval=None)
    assert assignment.group_size(x, True, model) == size
    assert assignment.group_size(x, False, model) == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_groups_train": 0}, "GShardAssignment.num_groups_train = 0: expected a whole number"),
        ({"num_groups_eval": "rows"}, "GShardAssignment.num_groups_eval = 'rows'"),
        ({"expert_capacity": 0}, "GShardAssignment.expert_capacity = 0"),
        ({"capacity_multiple": None}, "GShardAssignment.capacity_multiple = None"),
        ({"legacy_mtf_behavior": 1}, "legacy_mtf_behavior = 1: expected True or False"),
    ],
)
def test_invalid_settings_raise_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        GShardAssignment(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gating": "switch"}, "expert_assignment.* 'switch' .*expected 'top_2' or 'top_n'"),
        ({"balance_loss": "importance"}, "'importance' .*expected None, 'gshard' or 'none'"),
        ({"fastmoe_workers": 1}, "fastmoe_workers = 1: FastMoE has slots .* its own"),
    ],
)
def test_settings_without_a_form_of_gshards_raise_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        MixtureOfExperts(assignment=LEGACY, **settings)


@pytest.mark.parametrize(("number", "mesh"), [(5, ("", "")), (6, ("rows:4", "batch:rows"))])
def test_a_number_of_groups_that_does_not_fit_raises_an_error(number, mesh):
    """48 tokens; 4 processors."""
    with pytest.raises(ValueError, match=f"num_groups_train = {number} for a batch of 48 tokens"):
        experts_alone.run(
            layer(GShardAssignment(num_groups_train=number)),
            mode="train",
            mesh_shape=mesh[0],
            layout=mesh[1],
        )


@pytest.mark.parametrize("assignment", [GShardAssignment(), LEGACY], ids=["new", "legacy"])
@pytest.mark.parametrize("policy", ["all", "threshold"])
def test_weights_without_capacity_are_those_of_choices_that_all_have_slots(assignment, policy):
    """Training without capacity, exact evaluation and a step, against slots for all tokens."""
    settings = {f"second_policy_{mode}": policy for mode in ("train", "eval")}
    settings |= {f"second_threshold_{mode}": 0.3 for mode in ("train", "eval")}
    roomy = layer(assignment, **settings, capacity_factor_train=4.0, capacity_factor_eval=4.0)
    expected = experts_alone.run(roomy)["y"]
    dropless = layer(assignment, **settings, capacity_factor_train=None)
    for found in (
        experts_alone.run(roomy, exact=True)["y"],
        experts_alone.run(dropless, mode="train")["y"],
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    step = experts_alone.run(roomy, x=X[:, 5], mode="incremental")["y"]
    np.testing.assert_allclose(step, expected[:, 5], rtol=0, atol=1e-5)


def test_weights_of_a_token_sum_to_one():
    """Experts are alike: a token with a slot has the output of a dense layer, others 0."""
    settings = dict(mode="train", values=experts_alone.draw_alike)
    dense = experts_alone.run(layer(capacity_factor_train=None), **settings)["y"]

    def weights(assignment):
        y = experts_alone.run(layer(assignment), **settings)["y"]
        return (y * dense).sum(-1) / (dense * dense).sum(-1)

    new, legacy = weights(GShardAssignment()), weights(LEGACY)
    assert 0 < (new < 0.5).mean() < 0.5
    np.testing.assert_allclose(new[new > 0.5], 1.0, rtol=1e-5)
    # The others have the same slots and less weight.
    assert ((legacy > 0) == (new > 0.5)).all() and (legacy < 0.9)[new > 0.5].any()


def test_padding_does_not_change_the_balance_loss():
    """A row of 7 tokens with and without 5 positions of padding."""
    settings = dict(mode="train")
    text = experts_alone.run(layer(loss_coef=1.0), x=X[:1, :7], **settings)["loss"]
    padded = dict(x=X[:1], sequence_id=(np.arange(12) < 7)[None], **settings)
    found = experts_alone.run(layer(loss_coef=1.0), **padded)["loss"]
    np.testing.assert_allclose(found, text, rtol=1e-5)
    legacy = experts_alone.run(layer(LEGACY, loss_coef=1.0), **padded)["loss"]
    np.testing.assert_allclose(legacy, text * (7 / 12) ** 2, rtol=1e-5)


def test_a_fixed_number_of_slots_is_a_capacity():
    fixed = layer(GShardAssignment(expert_capacity=4), capacity_factor_train=None)
    found = experts_alone.run(fixed, mode="train", sequence_id=IDS, gradients=True)
    expected = experts_alone.run(layer(), mode="train", sequence_id=IDS, gradients=True)
    experts_alone.check_same(found, expected, atol=0)
    without = layer(capacity_factor_train=None)
    dropless = experts_alone.run(without, mode="train", sequence_id=IDS)["y"]
    assert np.abs(found["y"] - dropless).max() > 0.1


@pytest.mark.parametrize("mesh", slow.all_but(["batch and experts"], list(MESHES)))
def test_training_on_a_mesh_equals_one_device(mesh):
    """Outputs, balance loss and gradients, with padding and dropped choices; rows are groups."""
    settings = dict(mode="train", sequence_id=IDS, gradients=True)
    mesh_shape, layout = MESHES[mesh]
    values = experts_alone.run(layer(), mesh_shape=mesh_shape, layout=layout, **settings)
    experts_alone.check_same(values, experts_alone.run(layer(), **settings))


def test_copies_of_experts_and_microbatches_change_nothing():
    """`outer_batch` splits the rows over copies, microbatches over parts of a step."""
    whole = experts_alone.run(layer(), mode="train")
    copies = experts_alone.run(layer(), mode="train", x=X.reshape(2, 2, 12, 8))
    np.testing.assert_allclose(copies["y"].reshape(X.shape), whole["y"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(copies["loss"], whole["loss"], rtol=1e-6)
    halves = [
        experts_alone.run(layer(), mode="train", x=x, num_microbatches=2) for x in (X[:2], X[2:])
    ]
    np.testing.assert_allclose(sum(half["loss"] for half in halves), whole["loss"], rtol=1e-6)
    y = np.concatenate([half["y"] for half in halves])
    np.testing.assert_allclose(y, whole["y"], rtol=0, atol=1e-6)


BFLOAT16 = tf.bfloat16.as_numpy_dtype


def combine(x, dtype):
    """Returns the weights `[group, experts, slots]` of 48 tokens, with activations of a type."""
    gating = layer().gating
    with helpers.bench() as b:
        x = mtf.cast(b.put(x.reshape(1, 1, 48, 8), *DIMS), dtype)
        variable_dtype = mtf.VariableDType(tf.float32, tf.float32, dtype)
        context = types.SimpleNamespace(
            train=False, variable_dtype=variable_dtype, num_microbatches=None
        )
        tokens, experts = routing.Tokens(x, x.shape.dims[2], None), mtf.Dimension("experts", 4)
        slots = mtf.Dimension("expert_capacity", 12)
        plan, _ = routing.route(tokens, experts, slots, gating, context, "gating")
        assert plan.combine.dtype == dtype
        b.variables = {"gating/kernel": experts_alone.draw("gating/kernel", [8, 4])}
        shape = mtf.Shape([*x.shape.dims[:-1], experts, slots])
        return b.run({"c": mtf.cast(mtf.transpose(plan.combine, shape), tf.float32)})["c"]


def test_weights_of_bfloat16_activations_are_those_of_float32_rounded_once():
    x = X.astype(BFLOAT16).astype(np.float32)
    expected = combine(x, tf.float32)
    assert 0 < (expected > 0).sum() < 2 * 48
    np.testing.assert_array_equal(
        combine(x, tf.bfloat16), expected.astype(BFLOAT16).astype(np.float32)
    )


def test_bfloat16_outputs_are_close_to_float32():
    """Every token has the same experts, slots and weights, to the rounding of its output."""
    x = X.astype(BFLOAT16).astype(np.float32)
    settings = dict(x=x, mode="train", sequence_id=IDS)
    expected = experts_alone.run(layer(), **settings)
    values = experts_alone.run(layer(), dtype=tf.bfloat16, **settings)
    error = np.linalg.norm(values["y"] - expected["y"], axis=-1)
    np.testing.assert_array_less(error, 0.02 * np.linalg.norm(expected["y"], axis=-1) + 1e-6)
    # The model's losses have the type of the activations.
    np.testing.assert_allclose(values["loss"], expected["loss"], rtol=2**-8)
