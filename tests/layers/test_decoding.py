"""Decoding one position after the other gives the logits of all positions at once."""

import numpy as np
import pytest

from tests import slow
from tests.layers import helpers, stepwise

TARGETS = np.random.default_rng(0).integers(2, 97, [4, 6])


def check(model, variables, targets, prompt_lengths):
    expected = helpers.call(model, variables, targets, sequence_id=None)["logits"]
    decoded = stepwise.decode(model, variables, targets, prompt_lengths)
    steps = ~np.isnan(decoded[:, :, 0])
    assert steps.sum() == targets.size - sum(prompt_lengths)
    np.testing.assert_allclose(decoded[steps], expected[steps], rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("prompt_lengths", [[0, 0, 0, 0], [4, 4, 4, 4], [1, 2, 3, 5]], ids=str)
@pytest.mark.parametrize("name", ["primer", "primer_ez"])
def test_steps_equal_teacher_forcing(name, prompt_lengths):
    """Without prompts, with equal ones, and of different lengths; some shorter than the taps."""
    check(*helpers.golden_model(name, num_layers=2), TARGETS, prompt_lengths)


SETTINGS = [
    {"kernel_size": 1},
    {"kernel_size": 4},
    {"combine_dims": False},
    {"shared_kv": True},
    {"num_memory_heads": 1},
    {"num_memory_heads": 2},
    {"num_heads": 1},
    {"share_qk_rep": True, "num_memory_heads": 1},
    {"share_qk_rep": True, "num_memory_heads": 2},
    {"share_qk_rep": True, "combine_dims": False},
    {"share_qk_rep": True, "rescale_shared_keys": True},
    {"spatial_gating": True, "max_length": 6},
    {"spatial_gating": True, "num_memory_heads": 2},
    {"relative_attention_type": "contextual"},
]


@pytest.mark.parametrize("settings", slow.all_but(SETTINGS[1::2], SETTINGS))
def test_every_setting(settings):
    model = helpers.build_model("primer_ez", attention=settings, num_layers=1)
    variables = helpers.random_variables(model)
    check(model, variables, TARGETS[:2, :5], [2, 3])


def test_ensemble():
    model = helpers.build_model("primer_ez", model={"ensemble": 2}, num_layers=1)
    check(model, helpers.random_variables(model), TARGETS[:2, :5], [2, 3])


@pytest.mark.parametrize("name", ["primer", "primer_ez"])
def test_sampling_loop_takes_the_best_token_at_every_position(name):
    model, variables = helpers.golden_model(name)
    prompts = np.where(np.arange(6) < np.array([[1], [2], [3], [4]]), TARGETS, 0)
    ids = stepwise.sample(model, variables, prompts, never_end=True)
    logits = helpers.call(model, variables, ids, sequence_id=None)["logits"]
    logits[:, :, 1] = -np.inf  # never_end forbids the end of sequence.
    generated = prompts == 0
    np.testing.assert_array_equal(ids[~generated], prompts[~generated])
    np.testing.assert_array_equal(ids[generated], logits.argmax(-1)[generated])


def test_sampling_without_prompts():
    model, variables = helpers.golden_model("primer_ez")
    ids = stepwise.sample(
        model, variables, np.zeros([2, 6]), has_partial_sequences=False, never_end=True
    )
    logits = helpers.call(model, variables, ids, sequence_id=None)["logits"]
    logits[:, :, 1] = -np.inf
    np.testing.assert_array_equal(ids, logits.argmax(-1))
