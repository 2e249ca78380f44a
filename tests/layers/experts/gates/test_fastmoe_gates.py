"""The gates equal FastMoE's own, run with PyTorch: assignment, weights, losses, gradients.

tests/golden/fastmoe_gates.npz has the results of the gates of laekov/fastmoe on the experts of two
workers, all tokens in one process, with recorded random numbers; its CUDA functions that limit the
tokens of an expert were replaced by loops over the tokens in their order.
"""

import types

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers import MixtureOfExperts
from primer.layers.experts import capacity, routing
from primer.layers.experts.gates import noisy
from tests.layers import helpers
from tests.layers.experts import routing_oracle
from tests.paths import GOLDEN

with np.load(GOLDEN / "fastmoe_gates.npz") as arrays:
    ORACLE = dict(arrays)
EXPERTS, WORKERS = int(ORACLE["config/num_experts"]), int(ORACLE["config/workers"])
TOKENS = len(ORACLE["x"])
BIAS = {"router_bias": True, "loss_coef": 1.0, "num_experts": EXPERTS}
RELEASED = {**BIAS, "fastmoe_workers": WORKERS}
NAIVE = {"gating": "naive", "capacity_factor_train": None, **BIAS}
NOISY = {**NAIVE, "gating": "noisy", "router_bias": False, "num_experts_per_token": 2}
GSHARD = {
    "gating": "top_2",
    "capacity_factor_train": 1.0,
    "capacity_factor_eval": 1.0,
    "second_policy_train": "random",
    "second_threshold_train": 0.5,
    "switch_policy_train": "argmax",
    **RELEASED,
}
SWITCH = {
    "gating": "switch",
    "capacity_factor_train": 1.2,
    "capacity_factor_eval": 1.0,
    "switch_jitter": 0.1,
    **RELEASED,
}


@pytest.fixture(autouse=True)
def recorded_noise(monkeypatch):
    """The random numbers of the recorded run."""

    def given(array, mesh, shape):
        shape = mtf.convert_to_shape(shape)
        array = np.reshape(array, shape.to_integer_list)
        return mtf.import_tf_tensor(mesh, tf.constant(array), shape)

    def uniform(mesh, shape, minval=0.0, maxval=1.0):
        per_token = mtf.convert_to_shape(shape).size == TOKENS
        numbers = ORACLE["uniform_of_token" if per_token else "uniform"]
        return given(numbers, mesh, shape) * (maxval - minval) + minval

    monkeypatch.setattr(mtf, "random_normal", lambda m, s: given(ORACLE["normal"], m, s))
    monkeypatch.setattr(mtf, "random_uniform", uniform)


def routed(settings, mode):
    """Returns combine `[tokens, experts]`, the loss if any, and the gradients of the router."""
    gating = MixtureOfExperts(hidden_size=4, **settings).gating
    with helpers.bench() as b:
        x = b.put(ORACLE["x"][None, None], "outer_batch", "batch", "group", "d_model")
        context = types.SimpleNamespace(
            train=mode == "train",
            variable_dtype=mtf.VariableDType(tf.float32),
            num_microbatches=None,
        )
        experts_dim = mtf.Dimension("experts", EXPERTS)
        tokens = routing.Tokens(x, x.shape.dims[-2], None)
        factor = gating.phase(context.train).capacity_factor
        combine, loss = _combine(tokens, experts_dim, gating, context, factor)
        combine = mtf.reshape(combine, [tokens.group_dim, experts_dim])
        outputs = {"combine": combine}
        numbers = mtf.range(b.mesh, mtf.Dimension("all", combine.shape.size), tf.float32)
        total = mtf.reduce_sum(combine * mtf.reshape(mtf.cos(numbers), combine.shape))
        if loss is not None:
            outputs["loss"] = loss
            total += loss
        variables = {_oracle_name(v.name): v for v in b.graph.trainable_variables}
        grads = mtf.gradients([total], [v.value for v in variables.values()])
        outputs |= {f"grad/{n}": g for n, g in zip(variables, grads) if g is not None}
        b.variables = {v.op.name: ORACLE[_oracle_name(v.op.name)] for v in tf.global_variables()}
        return b.run(outputs)


def _combine(tokens, experts_dim, gating, context, factor):
    """Returns the weight of each expert for each token, and the loss."""
    if factor is None:
        index, gate, loss = routing.choose(tokens, experts_dim, gating, context, "gating")
        weights = mtf.one_hot(index, experts_dim) * gate
        return mtf.reduce_sum(weights, output_shape=[*index.shape.dims[:-1], experts_dim]), loss
    slots_dim = capacity.capacity_dim(tokens.group_dim, experts_dim, gating, factor)
    plan, loss = routing.route(tokens, experts_dim, slots_dim, gating, context, "gating")
    assert slots_dim.size < TOKENS
    return mtf.reduce_sum(plan.combine, reduced_dim=slots_dim), loss


def _oracle_name(variable):
    scope, name = variable.split("/")
    return "noise_kernel" if scope.endswith("noise") else name


@pytest.mark.parametrize(
    "name, mode, settings",
    [
        ("naive", "train", {**NAIVE, "num_experts_per_token": 2}),
        ("naive_3", "train", {**NAIVE, "num_experts_per_token": 3}),
        ("noisy", "train", {**NOISY, "fastmoe_workers": WORKERS}),
        ("gshard", "train", GSHARD),
        ("gshard", "eval", GSHARD),
        ("switch", "train", SWITCH),
        ("switch", "eval", SWITCH),
    ],
)
def test_gates_equal_fastmoes(name, mode, settings):
    values = routed(settings, mode)
    prefix = f"{name}/{mode}/"
    expected = helpers.by_prefix(ORACLE, prefix)
    assert set(values) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(values[key], value, rtol=1e-4, atol=1e-5, err_msg=key)


P = routing_oracle.softmax(ORACLE["x"] @ ORACLE["kernel"] + ORACLE["bias"])


def test_the_papers_gshard_loss_counts_all_experts():
    """That of FastMoE is of one worker's: a quarter of it on two workers. Slots differ too."""
    loss = routed({**GSHARD, "fastmoe_workers": None, "group_size": TOKENS}, "train")["loss"]
    first = np.eye(EXPERTS)[P.argmax(-1)]
    expected = EXPERTS * (first.mean(0) * P.mean(0)).sum()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(ORACLE["gshard/train/loss"] * WORKERS**2, expected, rtol=1e-5)


def test_the_papers_switch_loss_counts_all_tokens():
    """FastMoE's counts those that were kept. `test_router` has the noise on the input."""
    settings = {**SWITCH, "fastmoe_workers": None, "group_size": TOKENS, "min_expert_capacity": 1}
    loss = routed({**settings, "switch_policy_train": "argmax"}, "train")["loss"]
    best = np.eye(EXPERTS)[P.argmax(-1)]
    expected = EXPERTS * (best.mean(0) * P.mean(0)).sum()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert abs(ORACLE["switch/eval/loss"] - expected) > 0.1


def squared_variation(x):
    return x.var() / x.mean() ** 2


def test_the_first_choice_is_the_best_of_any_number():
    """PyTorch's unsorted top-k, which FastMoE reads, has another expert first in most rows."""
    settings = {**NAIVE, "num_experts_per_token": 3, "balance_loss": "gshard"}
    loss = routed(settings, "train")["loss"]
    first = np.eye(EXPERTS)[P.argmax(-1)]
    np.testing.assert_allclose(loss, EXPERTS * (first.mean(0) * P.mean(0)).sum(), rtol=1e-5)


@pytest.mark.parametrize("load", [[1.0, 2.0, 3.0, 6.0], [5.0, 5.0], [7.0]])
def test_variation_is_over_all_experts(load):
    """FastMoE's variance is that of a sample: divided by experts - 1."""
    with helpers.bench() as b:
        x = b.put(np.float32(load), "experts")
        values = b.run({str(u): noisy.squared_variation(x, *u) for u in ((), (True,))})
    expected = squared_variation(np.array(load))
    np.testing.assert_allclose(values["()"], expected, rtol=1e-5)
    np.testing.assert_allclose(
        values["(True,)"], expected * len(load) / max(len(load) - 1, 1), rtol=1e-5
    )


def test_noisy_loss_is_the_variation_of_gates_and_load():
    """Shazeer et al., equations 7, 10 and 11."""
    loss = routed(NOISY, "train")["loss"]
    np.testing.assert_allclose(
        loss * EXPERTS / (EXPERTS - 1), ORACLE["noisy/train/loss"], rtol=1e-5
    )
    importance = routed({**NOISY, "balance_loss": "importance"}, "train")["loss"]
    combine = ORACLE["noisy/train/combine"]
    np.testing.assert_allclose(importance, squared_variation(combine.sum(0)), rtol=1e-5)


def test_noisy_evaluation_is_deterministic_and_has_no_loss():
    values = routed({**NOISY, "capacity_factor_eval": None}, "eval")
    assert "loss" not in values
    logits = ORACLE["x"] @ ORACLE["kernel"]
    chosen = np.argsort(-logits)[:, :2]
    gates = routing_oracle.softmax(np.take_along_axis(logits, chosen, 1))
    expected = np.zeros([TOKENS, EXPERTS])
    np.put_along_axis(expected, chosen, gates, 1)
    np.testing.assert_allclose(values["combine"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("balance_loss", ["gshard", "switch", "importance"])
def test_any_balance_loss_without_groups(balance_loss):
    """In numpy, and its gradient reaches the router's kernel and bias."""
    settings = {**NAIVE, "num_experts_per_token": 2}
    values = routed({**settings, "balance_loss": balance_loss}, "train")
    combine = ORACLE["naive/train/combine"]
    first, both = np.eye(EXPERTS)[P.argmax(-1)], (combine > 0) / 2
    expected = {
        "gshard": EXPERTS * (first.mean(0) * P.mean(0)).sum(),
        "switch": EXPERTS * (both.mean(0) * P.mean(0)).sum(),
        "importance": squared_variation(combine.sum(0)),
    }[balance_loss]
    np.testing.assert_allclose(values["loss"], expected, rtol=1e-5)
    for name in ("grad/kernel", "grad/bias"):
        assert np.abs(values[name] - ORACLE[f"naive/train/{name}"]).max() > 1e-3


def test_without_a_loss_of_its_own_naive_has_none():
    assert "loss" not in routed({**NAIVE, "num_experts_per_token": 2}, "train")
