"""The extra logit against the equation, where a slot sets it and in every kind of attention."""

import numpy as np
import pytest

from primer.layers import MultiHeadAttention, SynthesizerAttention
from tests import gin_models
from tests.layers import composition_checks as checks
from tests.layers import helpers, single_layer

X = np.random.default_rng(0).standard_normal([2, 6, 32]).astype(np.float32)
HEADS = {"num_heads": 4, "key_value_size": 8}


def attend(settings, extra, mode="eval"):
    """Returns the output of a layer with random weights, and the same without the extra logit."""
    with_extra = MultiHeadAttention(**HEADS, **settings, extra_logit=extra)
    plain = MultiHeadAttention(**HEADS, **settings)
    variables = single_layer.random_variables(plain)
    return [single_layer.run(layer, variables, X, mode=mode)["y"] for layer in (with_extra, plain)]


def equation(variables, extra, cap=None):
    """numpy from the equation: causal attention of X."""
    q, k, v = ((X @ variables[f"{name}"]).reshape(2, 6, 4, 8).astype(np.float64) for name in "qkv")
    logits = np.einsum("bqhd,bkhd->bhqk", q, k)
    logits = logits if cap is None else cap * np.tanh(logits / cap)
    powers = np.exp(logits) * np.tri(6)
    weights = powers / (np.exp(extra) + powers.sum(-1, keepdims=True))
    return np.einsum("bhqk,bkhd->bqhd", weights, v).reshape(2, 6, 32) @ variables["o"]


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("cap", [None, 2.0])
def test_equation(cap, mode):
    layer = MultiHeadAttention(**HEADS, logit_cap=cap, extra_logit=0.5)
    variables = single_layer.random_variables(layer)
    found = single_layer.run(layer, variables, X, mode=mode)["y"]
    expected = equation({name.split("/")[-1]: v for name, v in variables.items()}, 0.5, cap)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_far_below_the_logits_it_changes_nothing():
    found, plain = attend({}, -100.0)
    np.testing.assert_allclose(found, plain, rtol=0, atol=1e-6)
    found, plain = attend({}, 100.0)
    assert np.abs(plain).max() > 1e-2 and np.abs(found).max() < 1e-6


@pytest.mark.parametrize("kind", [{"kind": "local", "window": 3}, {"num_memory_heads": 1}], ids=str)
def test_of_every_kind_of_softmax(kind):
    found, plain = attend(kind, 0.0)
    assert np.abs(found - plain).max() > 1e-2


def test_a_synthesizer_has_it_too():
    layer = SynthesizerAttention(**HEADS, extra_logit=100.0, synthesize_mode="random_plus")
    variables = single_layer.random_variables(layer)
    assert np.abs(single_layer.run(layer, variables, X)["y"]).max() < 1e-6


@pytest.mark.slow
def test_with_cap_buckets_and_one_head_of_keys(tmp_path):
    """In steps, packed, causal and on a mesh, as a slot sets them together."""
    bindings = (
        "num_layers = 1",
        "num_memory_heads = 1",
        "attention_logit_cap = 2.0",
        "attention_extra_logit = 2.0",
        "SelfAttention.relative_attention_num_buckets = 8",
        "MultiHeadAttention.relative_max_distance = 6",
    )
    case = checks.Case(tuple(gin_models.files("gshard", "geglu")), bindings)
    checks.check_steps(case, tmp_path)
    checks.check_packing(case)
    checks.check_causality(case)
    checks.check_mesh(case)
    model = case.build()
    plain = gin_models.build(case.files, (*bindings, "attention_extra_logit = None"))
    found, other = (
        helpers.call(m, checks.variables_of(case), checks.TARGETS)["logits"] for m in (model, plain)
    )
    assert np.abs(found - other).max() > 1e-2
