"""Learned and sinusoidal positions: the names of the slot, and models that add the vectors."""

import re

import numpy as np
import pytest

from primer.layers import position_encodings
from tests.layers import helpers, stepwise
from tests.layers.embeddings.embedding_helpers import bind, check_packing, without_layers

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(2, 97, [4, 8]).astype(np.int32)
IDS = np.where(np.arange(8) < np.array([[3], [8], [1], [5]]), 1, 2)
ABSOLUTE = {
    "learned": {"positional_embedding": True},
    "sinusoid": {"sinusoid_positional_embedding": True},
}
MAX_LENGTH = 12


def model_with(positions, **settings):
    return helpers.build_model(
        "primer_ez",
        attention={"relative_attention_type": None},
        model={**ABSOLUTE[positions], "max_length": MAX_LENGTH, **settings},
        num_layers=1,
    )


@pytest.mark.parametrize(
    "positions, relative, learned, sinusoid",
    [
        ("t5_bias_shared", "bias_shared", False, False),
        ("t5_bias", "bias", False, False),
        ("rotary", None, False, False),
        ("alibi", None, False, False),
        ("transformer_xl", None, False, False),
        ("transformer_xl_absolute", None, False, False),
        ("learned", None, True, False),
        ("sinusoid", None, False, True),
        ("none", None, False, False),
    ],
)
def test_what_a_name_sets(positions, relative, learned, sinusoid):
    assert positions in position_encodings.POSITIONS
    assert position_encodings.relative_attention_type(positions) == relative
    assert position_encodings.has_learned_positions(positions) is learned
    assert position_encodings.has_sinusoid_positions(positions) is sinusoid


@pytest.mark.parametrize("name", ["relative_attention_type", "has_learned_positions"])
def test_the_error_lists_the_names(name):
    names = ", ".join(f'"{each}"' for each in position_encodings.POSITIONS)
    message = f"^positions = 'rope': expected one of {re.escape(names)}"
    with pytest.raises(ValueError, match=message):
        getattr(position_encodings, name)("rope")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("positions", ABSOLUTE)
def test_the_vector_of_the_position_is_added(positions, packed):
    bind("logit_scale = 1.0")
    model = without_layers(**ABSOLUTE[positions], max_length=MAX_LENGTH)
    table = RNG.standard_normal([128, 32]).astype(np.float32)
    variables = {"transformer/embedding": table}
    if positions == "learned":
        vectors = RNG.standard_normal([MAX_LENGTH, 32]).astype(np.float32)
        variables["transformer/positional_embedding"] = vectors
    else:
        # Tensor2Tensor's get_timing_signal_1d.
        rates = 10000.0 ** (-np.arange(16) / 15)
        angles = np.arange(MAX_LENGTH)[:, None] * rates
        vectors = np.concatenate([np.sin(angles), np.cos(angles)], 1)
    ids = IDS if packed else None
    found = helpers.call(model, variables, TARGETS, sequence_id=ids)["logits"]
    index = np.broadcast_to(np.arange(8), TARGETS.shape)
    if packed:
        index = helpers.positions_in_segments(IDS)
    inputs = np.where(index == 0, 0, np.roll(TARGETS, 1, 1))
    expected = (table[inputs] + vectors[index]) @ table.T
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("positions", ABSOLUTE)
def test_packed_texts_have_the_logits_that_they_have_alone(positions):
    bind()
    model = model_with(positions)
    variables = helpers.random_variables(model)
    check_packing(model, variables, TARGETS, IDS)


@pytest.mark.parametrize("positions", ABSOLUTE)
def test_steps_equal_teacher_forcing(positions):
    bind()
    model = model_with(positions)
    variables = helpers.random_variables(model)
    expected = helpers.call(model, variables, TARGETS, sequence_id=None)["logits"]
    decoded = stepwise.decode(model, variables, TARGETS, [2, 3, 0, 5])
    steps = ~np.isnan(decoded[:, :, 0])
    np.testing.assert_allclose(decoded[steps], expected[steps], rtol=0, atol=1e-4)


@pytest.mark.parametrize("positions, packed", [("learned", False), ("sinusoid", True)])
def test_mesh_equals_one_device(positions, packed):
    bind()
    model = model_with(positions)
    variables = helpers.random_variables(model)
    settings = dict(mode="train", sequence_id=IDS if packed else None, gradients=True)
    expected = helpers.call(model, variables, TARGETS, **settings)
    layout = "batch:rows,d_model:columns"
    found = helpers.call(
        model, variables, TARGETS, mesh_shape="rows:2,columns:2", layout=layout, **settings
    )
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-4, err_msg=key)


@pytest.mark.parametrize("positions", ABSOLUTE)
def test_an_ensemble_has_positions(positions):
    bind()
    model = model_with(positions, ensemble=2)
    variables = helpers.random_variables(model)
    if positions == "learned":
        assert variables["transformer/positional_embedding"].shape == (2, MAX_LENGTH, 32)
    found = helpers.call(model, variables, TARGETS, sequence_id=IDS)["logits"]
    assert found.shape == (4, 8, 128) and np.isfinite(found).all()


@pytest.mark.parametrize("sequence_id", [None, "nonpadding"])
@pytest.mark.parametrize("positions", ABSOLUTE)
def test_a_text_beyond_the_last_position_is_an_error(positions, sequence_id):
    """Packed too, where Mesh-TensorFlow adds zeros."""
    bind()
    model = without_layers(**ABSOLUTE[positions], max_length=7)
    message = (
        "^max_length = 7 positions have an embedding, the text has 8; set the macro max_length"
    )
    with pytest.raises(ValueError, match=message):
        helpers.call(model, None, TARGETS, sequence_id=sequence_id)
    assert helpers.call(model, None, TARGETS[:, :7], sequence_id=sequence_id)["loss"] > 0


def test_relative_positions_need_no_max_length():
    bind()
    assert helpers.call(without_layers(max_length=7), None, TARGETS)["loss"] > 0
