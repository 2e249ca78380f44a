"""The Synthesizer's tables by position: entries, decoding, packed examples."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers.attention.synthesizer import synthesizer, synthesizer_tables
from tests.layers import helpers, single_layer, stepwise
from tests.layers.attention.synthesizer.synthesizer_helpers import (
    IDS,
    TARGETS,
    X,
    build,
    layer,
    variables_of,
)

RNG = np.random.default_rng(1)


@pytest.mark.parametrize(
    "mode, prompt_lengths",
    [(mode, [1, 2, 4]) for mode in synthesizer.MODES]
    + [(mode, same) for mode in ("random_plus", "dense") for same in ([0, 0, 0], [2, 2, 2])],
    ids=str,
)
def test_steps_equal_all_positions_at_once(mode, prompt_lengths):
    """The text is shorter than the tables: 5 of 8 positions."""
    single_layer.check_decoding(layer(mode), variables_of(mode), X[:3, :5], prompt_lengths)


@pytest.mark.parametrize(
    "mode, model",
    [
        ("random_plus", {"positional_embedding": True}),
        ("dense_plus_alpha", {"ensemble": 2}),
        ("factorized", {"ensemble": 2}),
    ],
    ids=str,
)
def test_steps_of_a_model_equal_teacher_forcing(mode, model):
    # The row with the longer prompt is stepped past the last position of the tables.
    model = build(mode, model=model, max_length=4)
    variables, targets = helpers.random_variables(model), TARGETS[:, :4]
    expected = helpers.call(model, variables, targets, sequence_id=None)["logits"]
    decoded = stepwise.decode(model, variables, targets, [1, 2])
    steps = ~np.isnan(decoded[:, :, 0])
    assert steps.sum() == 5
    np.testing.assert_allclose(decoded[steps], expected[steps], rtol=0, atol=1e-4)


@pytest.mark.parametrize("mode", synthesizer.MODES)
def test_packed_examples_equal_their_segments(mode):
    """Outputs and gradients; Mesh-TF's layer uses the positions in the row."""
    single_layer.check_packing(layer(mode), variables_of(mode), X, IDS)


def test_recomputed_gradients_of_packed_examples_are_the_same():
    variables, values = helpers.random_variables(build("random_plus", num_layers=2)), []
    for recompute in (False, True):
        model = build("random_plus", stack={"recompute_grads": recompute}, num_layers=2)
        ids = IDS[[0, 2]]
        values.append(
            helpers.call(model, variables, TARGETS, "train", sequence_id=ids, gradients=True)
        )
    for key, value in values[0].items():
        np.testing.assert_allclose(values[1][key], value, rtol=1e-4, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("positions", ["index", "given", "counted"])
def test_entries_of_a_table(positions):
    """R[p(t), h, p(s)] for the positions p of a packed example, given or counted."""
    table = RNG.standard_normal([10, 2, 10]).astype(np.float32)
    ids, p = IDS, np.arange(8) + np.zeros([4, 1], int)
    if positions != "index":
        p = p - np.array([[np.flatnonzero(row == i)[0] for i in row] for row in ids])
    with helpers.bench() as b:
        x = b.put(X.astype(np.float32), *single_layer.NAMES)
        context = single_layer.context_of(b, x, ids=ids if positions == "counted" else None)
        if positions == "given":
            context.position_is_default = False
            context.position = b.put(p.astype(np.int32), "batch", "length")
        t = b.put(table, synthesizer_tables.QUERY, "heads", synthesizer_tables.MEMORY)
        t = synthesizer_tables.at_memory(context, synthesizer_tables.at_queries(context, t))
        shape = [mtf.Dimension(*d) for d in [("length", 8), ("memory_length", 8), ("heads", 2)]]
        if positions != "index":
            shape = [mtf.Dimension("batch", 4)] + shape
        values = b.run({"t": mtf.transpose(t, mtf.Shape(shape))})["t"]
    expected = table.transpose(0, 2, 1)[p[:, :, None], p[:, None, :]]
    np.testing.assert_array_equal(values + np.zeros([4, 1, 1, 1], np.float32), expected)
