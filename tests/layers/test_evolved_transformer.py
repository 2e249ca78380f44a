"""The Evolved Transformer's block: parity, decoding, causality, packed examples."""

import functools

import numpy as np
import pytest
from mesh_tensorflow.transformer import transformer, transformer_layers

from primer.layers.attention.double_heads import DoubleHeadsAttention
from primer.layers.convolution.evolved_convolution import EvolvedConvolution
from tests.layers import helpers, stepwise

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(2, 97, [2, 14])
# Segments shorter than the convolutions, one of a single token, and padding.
LENGTHS = [[3, 21], [24], [1, 13, 7, 3], [6, 6]]
IDS = np.array([np.repeat([*range(1, len(n) + 1), 0], [*n, 24 - sum(n)]) for n in LENGTHS])


def build(num_layers=1, block=4, **model):
    """Returns a tiny model of the first `block` layers of the released block."""
    attention = dict(num_heads=4, key_value_size=8, relative_attention_type="bias_shared")
    feed_forward = dict(hidden_size=64, activation="swish", use_bias=True)
    layer_stack = transformer.make_layer_stack(
        layers=[
            (DoubleHeadsAttention, attention),
            EvolvedConvolution,
            (transformer_layers.SelfAttention, attention),
            (transformer_layers.DenseReluDense, feed_forward),
        ][:block],
        num_layers=num_layers,
        layer_stack_cls=functools.partial(
            transformer.LayerStack,
            **helpers.sublayers(transformer.sublayer_true_layer_norm),
        ),
    )
    return transformer.Unitransformer(
        layer_stack,
        d_model=32,
        input_vocab_size=97,
        output_vocab_size=97,
        autoregressive=True,
        max_length=512,
        shared_embedding_and_softmax_weights=True,
        positional_embedding=False,
        **model,
    )


@functools.cache
def golden():
    arrays, variables = helpers.golden("evolved_transformer")
    return arrays, variables, {k: v for k, v in variables.items() if "/block_001/" not in k}


def test_parity_with_the_original():
    arrays, variables, _ = golden()
    values = helpers.call(build(2), variables, arrays["targets"], mode="train", gradients=True)
    np.testing.assert_allclose(values["logits"], arrays["logits"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(values["loss"], arrays["train_loss"], rtol=1e-5)
    for key, norm in helpers.by_prefix(arrays, "gradnorm/").items():
        np.testing.assert_allclose(values["gradnorm/" + key], norm, rtol=1e-3, err_msg=key)


def test_steps_of_the_model_equal_teacher_forcing():
    check_steps(build(), golden()[2], [11, 12])


@pytest.mark.slow
def test_steps_of_an_ensemble_equal_teacher_forcing():
    model = build(block=2, ensemble=2)
    check_steps(model, helpers.random_variables(model), [11, 12])


def check_steps(model, variables, prompt_lengths):
    expected = helpers.call(model, variables, TARGETS, sequence_id=None)["logits"]
    decoded = stepwise.decode(model, variables, TARGETS, prompt_lengths)
    steps = ~np.isnan(decoded[:, :, 0])
    assert steps.sum() == TARGETS.size - sum(prompt_lengths)
    np.testing.assert_allclose(decoded[steps], expected[steps], rtol=0, atol=1e-4)


def test_sampling_loop_takes_the_best_token_at_every_position():
    """Mesh-TF's own loop, with prompts of different lengths."""
    model = build(block=2)
    variables = helpers.random_variables(model)
    prompts = np.where(np.arange(14) < np.array([[2], [9]]), TARGETS, 0)
    ids = stepwise.sample(model, variables, prompts, never_end=True)
    logits = helpers.call(model, variables, ids, sequence_id=None)["logits"]
    logits[:, :, 1] = -np.inf  # never_end forbids the end of sequence.
    generated = prompts == 0
    np.testing.assert_array_equal(ids[generated], logits.argmax(-1)[generated])


def test_no_position_depends_on_later_ones():
    model, variables = build(), golden()[2]
    changed = TARGETS.copy()
    changed[:, 5] = 2 + (changed[:, 5] + 1) % 90
    before = helpers.call(model, variables, TARGETS, sequence_id=None)["logits"]
    after = helpers.call(model, variables, changed, sequence_id=None)["logits"]
    np.testing.assert_array_equal(before[:, :6], after[:, :6])
    assert (before[:, 6:] != after[:, 6:]).any(-1).all()


def test_packed_examples_equal_their_segments():
    targets = np.where(IDS > 0, RNG.integers(2, 97, IDS.shape), 0)
    model, variables = build(), golden()[2]
    packed = helpers.call(model, variables, targets, sequence_id=IDS)["logits"]
    rows = np.zeros([4, 24], np.int32)
    slices = [(0, 3, 24), (2, 1, 14), (2, 14, 21), (3, 6, 12)]
    for i, (row, start, stop) in enumerate(slices):
        rows[i, : stop - start] = targets[row, start:stop]
    alone = helpers.call(model, variables, rows)["logits"]
    for i, (row, start, stop) in enumerate(slices):
        expected = alone[i, : stop - start]
        np.testing.assert_allclose(packed[row, start:stop], expected, rtol=0, atol=1e-5)
