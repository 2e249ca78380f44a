"""Gates after the softmax: one per head and position, in every mode, by position in the segment."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers import MDHA
from primer.layers.attention import spatial_gating
from tests.layers import helpers, single_layer
from tests.layers.embeddings import embedding_helpers

RNG = np.random.default_rng(0)
GATES = RNG.standard_normal([2, 8]).astype(np.float32)
VALUES = RNG.standard_normal([3, 5, 2, 4]).astype(np.float32)
IDS = np.array([[1, 1, 2, 2, 2], [1, 2, 3, 3, 3], [1, 1, 1, 1, 0]], np.int32)


def gated(values, ids=None, mode="eval", position=None, max_length=8):
    """Returns the gated values; `values` without length in incremental mode."""
    names = ["batch", "length", "heads", "d_kv"]
    with helpers.bench(variables={"spatial_gate": GATES[:, :max_length]}) as b:
        x = b.put(np.zeros([3, 5, 4], np.float32), *single_layer.NAMES)
        context = single_layer.context_of(b, x, mode, ids)
        if mode == "incremental":
            names.remove("length")
            context.position = b.put(position, "batch")
        v = b.put(values, *names)
        y = spatial_gating.gate_values(context, v, [v.shape.dims[-2]], max_length)
        return b.run({"y": mtf.transpose(y, v.shape)})["y"]


def test_every_position_has_its_gate():
    y = gated(VALUES)
    np.testing.assert_allclose(y, VALUES * GATES.T[:5, :, None], rtol=1e-6)


def test_segments_have_the_gates_of_their_own_positions():
    y = gated(VALUES, IDS)
    gates = GATES.T[helpers.positions_in_segments(IDS)]
    np.testing.assert_allclose(y, VALUES * gates[..., None], rtol=1e-6)


def test_a_step_has_the_gate_of_its_position():
    position = np.array([4, 0, 2], np.int32)
    y = gated(VALUES[:, 0], mode="incremental", position=position)
    np.testing.assert_allclose(y, VALUES[:, 0] * GATES.T[position][..., None], rtol=1e-6)


def test_gates_start_at_one():
    with helpers.bench() as b:
        v = b.put(VALUES, "batch", "length", "heads", "d_kv")
        x = b.put(np.zeros([3, 5, 4], np.float32), *single_layer.NAMES)
        context = single_layer.context_of(b, x)
        y = b.run({"y": spatial_gating.gate_values(context, v, [v.shape.dims[2]], 8)})["y"]
    np.testing.assert_array_equal(y, VALUES)


def test_a_longer_text_raises_an_error():
    with pytest.raises(ValueError, match="MDHA.max_length = 4 gates for a text of 5 positions"):
        gated(VALUES, max_length=4)


def test_value_embeddings_are_gated_too():
    """Where all gates are 0, another table changes nothing."""
    embedding_helpers.bind()
    attention = {"spatial_gating": True, "max_length": 8, "num_value_embeddings": 1}
    model = helpers.build_model(helpers.Architecture(attention=MDHA), attention=attention)
    variables = helpers.random_variables(model)
    for name, value in variables.items():
        if name.endswith("spatial_gate"):
            variables[name] = np.zeros_like(value)
    table = "transformer/value_embedding_0"
    others = {**variables, table: -variables[table]}
    targets = RNG.integers(2, 97, [2, 8])
    before, after = (helpers.call(model, v, targets)["logits"] for v in (variables, others))
    np.testing.assert_array_equal(after, before)


def test_gates_need_values_of_their_own():
    with pytest.raises(ValueError, match="MDHA.spatial_gating and MDHA.shared_kv are both True"):
        MDHA(spatial_gating=True, shared_kv=True)
