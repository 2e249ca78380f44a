"""Decoding with windowed self-attention and its rolling cache of the last positions."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers.attention.windows.windowed import WindowedSelfAttention
from tests.layers import helpers, stepwise
from tests.layers.attention.windows.windowed_helpers import (
    TARGETS,
    WINDOWED,
    X,
    call,
    context_for,
    layer_settings,
)


def decode_layer(layer, x, prompt_lengths, **mesh):
    """Decodes after the prompts: returns outputs `[step, batch, d_model]` and state shapes."""
    prompt_lengths = np.asarray(prompt_lengths, np.int32)
    with helpers.bench(**mesh) as b:
        x_t = b.put(x, "batch", "length", "d_model")
        length_dim = x_t.shape.dims[1]
        whole = call(b, layer, context_for(b, x_t), x_t)
        # Large values after the prompts, which must not affect the result.
        behind = np.arange(x.shape[1]) >= prompt_lengths[:, None]
        given = b.put(
            np.where(behind[..., None], 1e3, x).astype(np.float32), *x_t.shape.dimension_names
        )
        start = b.put(prompt_lengths, "batch")
        context = context_for(b, given, "first_part", initial_position=start)
        call(b, layer, context, given)
        outputs = {"whole": whole}
        shapes = [s.shape for s in context.new_states]
        for step in range(x.shape[1] - prompt_lengths.min()):
            position = start + step
            # Finished rows repeat the last position until the others are done.
            x_step = mtf.gather(x_t, mtf.minimum(position, x.shape[1] - 1), length_dim)
            context = context_for(
                b,
                given,
                "incremental",
                position=position,
                read_priority=position,
                states=context.new_states,
            )
            outputs[step] = call(b, layer, context, x_step)
            assert [s.shape for s in context.new_states] == shapes
        return b.run(outputs), shapes


def check_decoding(layer, prompt_lengths, **mesh):
    values, _ = decode_layer(layer, X[:, :7], prompt_lengths, **mesh)
    for row, start in enumerate(prompt_lengths):
        for position in range(start, 7):
            expected = values["whole"][row, position]
            step = values[position - start][row]
            np.testing.assert_allclose(step, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "radius, prompt_lengths",
    [(1, [4, 5]), (3, [0, 0]), (3, [4, 4]), (3, [1, 5]), (7, [4, 4]), (40, [3, 5])],
    ids=str,
)
def test_decoding_equals_all_positions_at_once(radius, prompt_lengths):
    """Caches that wrap around within a prompt, after it, and never."""
    check_decoding(WindowedSelfAttention(radius, 4, **layer_settings()), prompt_lengths)


@pytest.mark.parametrize(
    "settings",
    [
        {"num_memory_heads": 1, "relative_attention_type": "bias_shared"},
        {"num_memory_heads": 2, "shared_kv": True},
        {"num_heads": 1, "combine_dims": False},
        {"relative_attention_type": "contextual"},
        {"attention_kwargs": {"extra_logit": 0.0}, "relative_attention_type": None},
    ],
    ids=str,
)
def test_decoding_with_every_setting(settings):
    check_decoding(WindowedSelfAttention(3, 4, **layer_settings(**settings)), [3, 5])


def test_decoding_on_a_mesh():
    layer = WindowedSelfAttention(3, **layer_settings())
    mesh = {"mesh_shape": "rows:2,columns:2", "layout": "batch:rows,heads:columns"}
    check_decoding(layer, [3, 5], **mesh)


def test_states_have_the_size_of_the_window():
    for length, window in ((5, 5), (13, 6)):
        layer = WindowedSelfAttention(6, **layer_settings(num_memory_heads=1))
        _, shapes = decode_layer(layer, X[:, :length], [length, length - 1])
        assert [s.to_integer_list for s in shapes] == [[2, window, 8]] * 2


def check_model_decoding(targets, prompt_lengths, **settings):
    model = helpers.build_model(WINDOWED, attention={"radius": 2}, **settings)
    variables = helpers.random_variables(model)
    expected = helpers.call(model, variables, targets, sequence_id=None)["logits"]
    decoded = stepwise.decode(model, variables, targets, prompt_lengths)
    steps = ~np.isnan(decoded[:, :, 0])
    assert steps.sum() == targets.size - sum(prompt_lengths)
    np.testing.assert_allclose(decoded[steps], expected[steps], rtol=0, atol=1e-4)


def test_decoding_of_a_model():
    check_model_decoding(TARGETS[:, :6], [1, 2, 3, 5], num_layers=1)


def test_decoding_of_an_ensemble():
    check_model_decoding(TARGETS[:2, :5], [2, 3], model={"ensemble": 2}, num_layers=1)


def test_sampling_loop_takes_the_best_token_at_every_position():
    model = helpers.build_model(WINDOWED, attention={"radius": 3}, num_layers=1)
    variables = helpers.random_variables(model)
    prompts = np.where(np.arange(8) < np.array([[1], [2], [3], [5]]), TARGETS[:, :8], 0)
    ids = stepwise.sample(model, variables, prompts, never_end=True)
    logits = helpers.call(model, variables, ids, sequence_id=None)["logits"]
    logits[:, :, 1] = -np.inf  # never_end forbids the end of sequence.
    generated = prompts == 0
    np.testing.assert_array_equal(ids[~generated], prompts[~generated])
    np.testing.assert_array_equal(ids[generated], logits.argmax(-1)[generated])
