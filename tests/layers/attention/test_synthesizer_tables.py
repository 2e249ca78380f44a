"""The Synthesizer position by position: decoding, packed examples, meshes, lookups in tables."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
from mesh_tensorflow.transformer import transformer

from primer.layers.attention import synthesizer, synthesizer_lookup, synthesizer_tables
from tests.layers import helpers, single_layer, stepwise
from tests.layers.attention.test_synthesizer import IDS, TARGETS, X, build, layer, variables_of

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
    # Just enough positions: the row with the longer prompt is stepped on past them.
    model = build(mode, model=model, max_length=4)
    variables, targets = helpers.random_variables(model), TARGETS[:, :4]
    expected = helpers.call(model, variables, targets, sequence_id=None)["logits"]
    decoded = stepwise.decode(model, variables, targets, [1, 2])
    steps = ~np.isnan(decoded[:, :, 0])
    assert steps.sum() == 5
    np.testing.assert_allclose(decoded[steps], expected[steps], rtol=0, atol=1e-4)


@pytest.mark.parametrize("mode", synthesizer.MODES)
def test_a_packed_example_is_its_parts(mode):
    """Forwards and backwards; Mesh-TF's takes the logits of where a part lies in the row."""
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
    """R[p(t), h, p(s)] for the positions p of a packed example, given or not."""
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


def test_lookup_is_a_gather_with_its_gradient():
    table, index = RNG.standard_normal([3, 2, 7, 4]), RNG.integers(0, 7, [2, 5, 3])
    weight = RNG.standard_normal([2, 5, 3, 4]).astype(np.float32)
    results = []
    for function in (synthesizer_lookup.lookup, mtf.gather):
        with helpers.bench() as b:
            t = b.put(table.astype(np.float32), "c", "a", "rows", "d")
            i = b.put(index.astype(np.int32), "a", "b", "c")
            y = function(t, i, t.shape.get_dim_by_name("rows"))
            y = mtf.transpose(y, mtf.Shape([*i.shape.dims, t.shape.dims[-1]]))
            loss = mtf.reduce_sum(y * b.put(weight, "a", "b", "c", "d"))
            results.append(b.run({"y": y, "dt": mtf.gradients([loss], [t])[0]}))
    for key in ("y", "dt"):
        np.testing.assert_allclose(results[0][key], results[1][key], rtol=0, atol=1e-6)


def test_lookup_refuses_what_it_cannot_do():
    with helpers.bench("rows:2", "length:rows") as b:
        t, i = (
            b.put(np.ones([4, 2], np.float32), "length", "d"),
            b.put(np.zeros([3], np.int32), "a"),
        )
        with pytest.raises(ValueError, match="cannot look up"):
            synthesizer_lookup.lookup(t, i, mtf.Dimension("length", 5))
        y = synthesizer_lookup.lookup(t, i, mtf.Dimension("length", 4))
        with pytest.raises(ValueError, match="a layout rule splits length"):
            b.run({"y": y})


SPLIT_HEADS = "heads:columns,d_ff:columns,vocab:columns"
MESHES = {
    "batch": ("rows:2", "batch:rows"),
    "heads": ("columns:2", SPLIT_HEADS),
    "batch and heads": ("rows:2,columns:2", "batch:rows," + SPLIT_HEADS),
    "batch by 4": ("rows:4", "batch:rows"),
    "model in two dimensions": ("rows:2,columns:2", "d_model:rows," + SPLIT_HEADS),
    "length": ("rows:2", "length:rows"),
    "memory length": ("rows:2", "memory_length:rows"),
}


@pytest.mark.parametrize(
    "mode, mesh, ids",
    [("random_plus", mesh, IDS) for mesh in MESHES]
    + [("random_plus", mesh, None) for mesh in ("batch and heads", "length")]
    + [("dense", mesh, IDS) for mesh in ("batch and heads", "length")]
    + [("factorized", "batch and heads", IDS), ("dense_plus_alpha", "batch and heads", IDS)],
)
def test_mesh_equals_one_device(mode, mesh, ids):
    single_layer.check_mesh(layer(mode), variables_of(mode), X, ids, *MESHES[mesh])


def test_decoding_on_a_mesh():
    settings = (layer("dense_plus"), variables_of("dense_plus"), X[:2, :4], [2, 3])
    values = single_layer.decode(*settings, *MESHES["batch and heads"])
    np.testing.assert_allclose(values, single_layer.decode(*settings), rtol=0, atol=1e-4)


def test_an_ensemble_on_a_mesh_equals_one_device():
    variables, values = helpers.random_variables(build("random_plus", {"ensemble": 2})), []
    for mesh_shape, layout in (("", ""), ("rows:2", "ensemble:rows")):
        model = {"ensemble": 2, "layout": layout, "mesh_shape": mesh_shape}
        where = dict(mesh_shape=mesh_shape, layout=layout)
        settings = dict(mode="train", sequence_id=IDS[[0, 2]], gradients=True, **where)
        values.append(helpers.call(build("random_plus", model), variables, TARGETS, **settings))
    for key, value in values[0].items():
        np.testing.assert_allclose(values[1][key], value, rtol=1e-4, atol=1e-4, err_msg=key)


def test_an_outer_batch_changes_nothing():
    """Tensors `[outer_batch, batch, length]`, as Mesh-TF has them when it splits a batch."""
    model, ids = build("random_plus"), IDS[[0, 2]]
    variables = helpers.random_variables(model)
    expected = helpers.call(model, variables, TARGETS, sequence_id=ids)["logits"]
    with helpers.bench(variables=variables) as b:
        names = ("outer_batch", "batch", "length")
        tokens, ids = (b.put(a[:, np.newaxis].astype(np.int32), *names) for a in (TARGETS, ids))
        inputs = transformer.autoregressive_inputs(tokens, ids)
        logits, _ = model.call_simple(inputs, tokens, False, mode="eval", sequence_id=ids)
        values = b.run({"logits": logits})["logits"]
    np.testing.assert_allclose(values[:, 0], expected, rtol=0, atol=1e-5)
