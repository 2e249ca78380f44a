"""Merging LoRA's factors, against the formula written as loops and the one of PyPI's `peft`."""

import numpy as np
import pytest

from primer.errors import UsageError
from primer.parametrization import lora_weights


def draw(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def with_factors(shape, inputs, rank, stacked=0):
    """A weight of a shape, whose first dimensions are stacked and inputs, with its factors."""
    a = draw(*shape[: stacked + inputs], rank)
    b = draw(*shape[:stacked], rank, *shape[stacked + inputs :])
    return {"x/q": draw(*shape), "x/q_lora_a": a, "x/q_lora_b": b, "x/bias": draw(2)}


def test_a_matrix_gets_alpha_over_rank_times_the_product():
    weights = with_factors((4, 6), 1, 2)
    merged = lora_weights.merged(weights, alpha=3.0)
    # peft's Linear.get_delta_weight: (lora_B.weight @ lora_A.weight) * alpha / r, of weights
    # [outputs, inputs], whose transposes are ours.
    delta = (weights["x/q_lora_b"].T @ weights["x/q_lora_a"].T) * 3.0 / 2
    np.testing.assert_allclose(merged["x/q"], weights["x/q"] + delta.T, rtol=1e-6, atol=1e-6)
    assert set(merged) == {"x/q", "x/bias"}
    assert lora_weights.merged({"x": draw(2)}).keys() == {"x"}


@pytest.mark.parametrize("shape, inputs, stacked", [((3, 4, 5), 1, 1), ((2, 3, 4, 5), 2, 1)])
def test_stacked_weights_and_several_dimensions(shape, inputs, stacked):
    weights = with_factors(shape, inputs, 2, stacked)
    merged = lora_weights.merged(weights)["x/q"]
    for one in range(shape[0]):
        a, b = (weights[f"x/q_lora_{f}"][one] for f in "ab")
        expected = weights["x/q"][one] + 2 * np.einsum("...r,ro->...o", a, b)
        np.testing.assert_allclose(merged[one], expected, rtol=1e-5, atol=1e-5)


def test_a_bfloat16_weight_keeps_its_type():
    tf = pytest.importorskip("tensorflow")
    weights = with_factors((4, 6), 1, 2)
    weights["x/q"] = weights["x/q"].astype(tf.bfloat16.as_numpy_dtype)
    assert lora_weights.merged(weights)["x/q"].dtype == tf.bfloat16.as_numpy_dtype


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"x/q_lora_b": None}, "lacks x/q_lora_b"),
        ({"x/q": None}, "lacks x/q;"),
        ({"x/q_lora_b": draw(3, 6)}, r"shapes \[4, 2\] and \[3, 6\] do not belong"),
        ({"x/q_lora_a": draw(2)}, "do not belong to a weight"),
    ],
)
def test_what_does_not_belong_together_is_refused(changes, message):
    weights = {**with_factors((4, 6), 1, 2), **changes}
    weights = {name: value for name, value in weights.items() if value is not None}
    with pytest.raises(UsageError, match=message):
        lora_weights.merged(weights)


def test_the_alpha_of_a_record():
    assert lora_weights.alpha_of_record({}) is None
    assert lora_weights.alpha_of_record({"configuration": {"lora.rank": 4}}) == 8
    assert lora_weights.alpha_of_record({"configuration": {"lora.rank": 4, "lora.alpha": 2.0}}) == 2
