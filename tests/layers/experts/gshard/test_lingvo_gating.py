"""Top-2 gating gives the assignment, the weights and the loss that Lingvo's own code gave.

tests/golden/gshard/gshard_gating.npz has the results of `Top2GatingOnLogits` of Lingvo 0.14.2 for
two groups, with the random numbers that it used. A router whose weights are the identity makes the
recorded logits from themselves.
"""

import dataclasses
import json
import types

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers import MixtureOfExperts
from primer.layers.experts import capacity, routing
from primer.layers.experts.gshard.assignment import GShardAssignment
from tests.layers import helpers, routing_margin
from tests.layers.gshard.golden import FOLDER

with np.load(FOLDER / "gshard_gating.npz") as arrays:
    ORACLE = dict(arrays)
CASES = json.loads(str(ORACLE["config"]))["cases"]
DIMS = ("outer_batch", "batch", "group", "d_model")


def gating_of(case):
    """Returns the Gating with Lingvo's settings of a case."""
    assignment = GShardAssignment(
        expert_capacity=case["c_dim"] or None, legacy_mtf_behavior=case["legacy_mtf_behavior"]
    )
    layer = MixtureOfExperts(
        num_experts=ORACLE["logits"].shape[-1],
        gating="top_2",
        second_policy_eval=case["policy"],
        second_threshold_eval=case["second_expert_threshold"],
        capacity_factor_eval=case["capacity_factor"],
        assignment=assignment,
    )
    return dataclasses.replace(layer.gating, uniform=recorded_numbers(case["policy"]))


def recorded_numbers(policy):
    """Returns what `Gating.uniform` is, with the numbers that Lingvo used."""

    def uniform(mesh, shape):
        numbers = ORACLE[f"noise_{policy}"].reshape(shape.to_integer_list)
        return mtf.import_tf_tensor(mesh, tf.constant(numbers), shape)

    return uniform


def routed(b, name):
    """Builds the routing of a case; returns combine and dispatch `[G, S, E, C]`, and the loss."""
    case, gating = CASES[name], gating_of(CASES[name])
    context = types.SimpleNamespace(
        train=False, variable_dtype=mtf.VariableDType(tf.float32), num_microbatches=None
    )
    x = b.put(ORACLE["logits"][None], *DIMS)
    text = b.put(1.0 - ORACLE["paddings"][None], *DIMS[:-1]) if case["paddings"] else None
    tokens = routing.Tokens(x, x.shape.dims[-2], text)
    experts_dim = mtf.Dimension("experts", x.shape.dims[-1].size)
    factor = case["capacity_factor"]
    slots_dim = capacity.capacity_dim(tokens.group_dim, experts_dim, gating, factor)
    plan, loss = routing.route(tokens, experts_dim, slots_dim, gating, context, name)
    shape = mtf.Shape([*x.shape.dims[1:-1], experts_dim, slots_dim])
    combine, dispatch = (
        mtf.reshape(_in_order(t, shape), shape) for t in (plan.combine, plan.dispatch)
    )
    return {f"{name}/combine": combine, f"{name}/dispatch": dispatch, f"{name}/aux_loss": loss}


def _in_order(x, shape):
    """Transposes to outer_batch and then the dimensions of a shape."""
    return mtf.transpose(x, mtf.Shape([mtf.Dimension("outer_batch", 1), *shape.dims]))


def results(names):
    """Returns the arrays of cases, computed in one graph."""
    with routing_margin.ignored(), helpers.bench() as b:
        outputs = {}
        for name in names:
            outputs |= routed(b, name)
        identity = np.eye(ORACLE["logits"].shape[-1], dtype=np.float32)
        b.variables = {v.op.name: identity for v in tf.global_variables()}
        return b.run(outputs)


def check(name, found, expected):
    assert set(found) == set(expected)
    # Lingvo's slots may be more than the tokens of a group.
    slots = found["combine"].shape[-1]
    assert slots == min(CASES[name]["capacity"], ORACLE["logits"].shape[1])
    assert not expected["dispatch"][..., slots:].any()
    theirs = expected["combine"][..., :slots]
    np.testing.assert_allclose(found["combine"], theirs, rtol=0, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(found["dispatch"], expected["dispatch"][..., :slots])
    np.testing.assert_allclose(found["aux_loss"], expected["aux_loss"], rtol=1e-5, err_msg=name)


# The default run has every policy with both behaviors, and each rule of the capacity.
QUICK = [name for name in CASES if name.endswith("_cf1_pad")]
QUICK += ["random_new_keep_nopad", "all_new_c3_pad", "all_legacy_c6cf05_pad", "all_new_tiny_nopad"]
REST = [name for name in CASES if name not in QUICK]


@pytest.mark.parametrize(
    "names", [QUICK, pytest.param(REST, marks=pytest.mark.slow)], ids=["quick", "rest"]
)
def test_gating_equals_lingvos(names):
    found = results(names)
    for name in names:
        check(name, helpers.by_prefix(found, f"{name}/"), helpers.by_prefix(ORACLE, f"{name}/"))


def test_the_recorded_cases_have_all_settings():
    """Every policy, both behaviors, with and without dropped choices, with and without padding."""
    found = {
        (case["policy"], case["legacy_mtf_behavior"], case["kept"] < case["of"], case["paddings"])
        for case in CASES.values()
    }
    policies = ("all", "sampling", "random")
    assert {case[:2] for case in found} == {(p, legacy) for p in policies for legacy in (0, 1)}
    assert {case[2:] for case in found} == {(drops, pads) for drops in (0, 1) for pads in (0, 1)}
