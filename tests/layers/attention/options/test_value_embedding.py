"""Value embeddings in a model: the equation, the sharing of tables, every mode and mesh."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers import DoubleHeadsAttention, MultiHeadAttention
from primer.layers.attention.options import value_embedding
from primer.layers.embeddings import token_inputs
from tests.layers import helpers, stepwise
from tests.layers.embeddings.embedding_helpers import bind, check_packing

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(2, 97, [4, 8]).astype(np.int32)
IDS = np.where(np.arange(8) < np.array([[3], [8], [1], [5]]), 1, 2)
ARCHITECTURE = helpers.Architecture(attention=MultiHeadAttention)
TABLES = ["transformer/value_embedding_0", "transformer/value_embedding_1"]


def build(num_tables=1, num_layers=2, attention=None, **settings):
    attention = {"num_value_embeddings": num_tables, **(attention or {})}
    return helpers.build_model(ARCHITECTURE, attention=attention, num_layers=num_layers, **settings)


@pytest.mark.parametrize(
    "num_layers, num_tables, expected",
    [
        (6, 0, [None] * 6),
        (6, 2, [0, 1, None, None, 0, 1]),
        (7, 3, [0, 1, 2, None, 0, 1, 2]),
        (4, 2, [0, 1, 0, 1]),
        (2, 1, [0, 0]),
    ],
)
def test_the_first_and_the_last_layers_share_tables(num_layers, num_tables, expected):
    found = [value_embedding.table_number(i, num_layers, num_tables) for i in range(num_layers)]
    assert found == expected


def test_too_many_tables_are_an_error():
    message = "^num_value_embeddings = 2: expected at most half of the 3 attention layers"
    bind()
    with pytest.raises(ValueError, match=message):
        helpers.call(build(2, num_layers=3), None, TARGETS)


def test_layers_of_a_table_need_values_of_one_width():
    """Half as wide heads have half as wide values where all heads share them."""
    layers = [
        cls(num_heads=4, key_value_size=8, num_value_embeddings=1, num_memory_heads=1)
        for cls in (DoubleHeadsAttention, MultiHeadAttention)
    ]
    message = "^num_value_embeddings = 1 and num_memory_heads = 1: .* widths 4 and 8"
    with pytest.raises(ValueError, match=message):
        value_embedding.check_widths(layers)
    value_embedding.check_widths([layers[0], layers[1], layers[0]])


def test_equation():
    """The variables of a layer that is called alone, under a model's scope."""
    layer = build(2, num_layers=4).layer_stack.layers[2]  # The second attention layer.
    values = RNG.standard_normal([2, 3, 4, 8]).astype(np.float32)
    ids = np.array([[0, 4, 5], [1, 9, 2]], np.int32)
    variables = {
        "model/value_embedding_1": RNG.standard_normal([128, 32]).astype(np.float32),
        "model/layer/value_embedding/shares": np.array([0.25, 3.0], np.float32),
    }
    with helpers.bench(variables=variables) as b:
        context = helpers.layer_context(b, b.put(np.ones([2, 3, 32], np.float32), *"abc"))
        context.model = build(2, num_layers=4)
        context.model.layer_stack.layers[2] = layer
        with tf.variable_scope("model"):
            token_inputs.record(context, b.put(ids, "batch", "length"))
            with tf.variable_scope("layer"):
                y = value_embedding.add(
                    layer, context, b.put(values, "batch", "length", "heads", "d_kv")
                )
        found = b.run({"y": y})["y"]
    embedded = variables["model/value_embedding_1"][ids].reshape(values.shape)
    np.testing.assert_allclose(found, 0.25 * values + 3.0 * embedded, rtol=1e-5)


@pytest.mark.parametrize(
    "attention, width",
    [({}, 32), ({"num_memory_heads": 2}, 16), ({"num_memory_heads": 1}, 8), ({"num_heads": 1}, 8)],
)
def test_variables(attention, width):
    bind()
    variables = helpers.random_variables(build(2, num_layers=5, attention=attention))
    assert [variables[name].shape for name in TABLES] == [(128, width)] * 2
    shares = sorted(name for name in variables if name.endswith("value_embedding/shares"))
    layers = [name.split("/")[1] for name in shares]
    assert layers == ["block_000", "block_001", "block_003", "block_004"]


def test_initially_values_and_embeddings_are_averaged():
    bind()
    with helpers.bench() as b:
        ids = b.put(TARGETS, "batch", "length")
        build().call_simple(inputs=ids, targets=ids, compute_loss=False, mode="eval")
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            values = session.run({v.op.name: v for v in tf.global_variables()})
    shares = [value for name, value in values.items() if name.endswith("shares")]
    assert len(shares) == 2 and all(value.tolist() == [0.5, 0.5] for value in shares)


@pytest.mark.parametrize("kind", ["global", "local"])
@pytest.mark.parametrize("attention", [{}, {"num_memory_heads": 2}])
def test_steps_equal_teacher_forcing(attention, kind):
    """With prompts: in mode first_part `context.inputs` are not the ids that the layers see."""
    bind()
    model = build(attention={**attention, "kind": kind, "window": 3})
    variables = helpers.random_variables(model)
    expected = helpers.call(model, variables, TARGETS, sequence_id=None)["logits"]
    decoded = stepwise.decode(model, variables, TARGETS, [2, 3, 0, 5])
    steps = ~np.isnan(decoded[:, :, 0])
    np.testing.assert_allclose(decoded[steps], expected[steps], rtol=0, atol=1e-4)


def test_packed_texts_have_the_logits_that_they_have_alone():
    bind()
    model = build()
    variables = helpers.random_variables(model)
    check_packing(model, variables, TARGETS, IDS)


@pytest.mark.parametrize(
    "mesh_shape, layout",
    [
        ("columns:4", "vocab:columns,heads:columns,d_ff:columns"),
        ("rows:2,columns:2", "d_model:rows,vocab:columns,heads:columns,d_ff:columns"),
    ],
)
def test_mesh_equals_one_device(mesh_shape, layout):
    bind()
    model = build()
    variables = helpers.random_variables(model)
    settings = dict(mode="train", sequence_id=IDS, gradients=True)
    expected = helpers.call(model, variables, TARGETS, **settings)
    found = helpers.call(
        model, variables, TARGETS, mesh_shape=mesh_shape, layout=layout, **settings
    )
    assert expected["gradnorm/" + TABLES[0]] > 0
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-4, err_msg=key)


def test_gradients_may_be_recomputed():
    bind()
    model, recomputing = build(), build(stack={"recompute_grads": True})
    variables = helpers.random_variables(model)
    expected, found = (
        helpers.call(each, variables, TARGETS, mode="train", gradients=True)
        for each in (model, recomputing)
    )
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-6, err_msg=key)


def test_an_ensemble_is_the_mean_of_its_members():
    bind()
    model = build(model={"ensemble": 2})
    variables = helpers.random_variables(model)
    assert variables[TABLES[0]].shape == (2, 128, 32)
    probabilities = np.exp(helpers.call(model, variables, TARGETS)["logits"])
    members = []
    for number in range(2):
        own = {n: v[number] if len(v) == 2 else v for n, v in variables.items()}
        logits = helpers.call(build(), own, TARGETS)["logits"]
        members.append(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(probabilities, np.mean(members, 0), rtol=1e-3, atol=1e-7)


def test_the_embedding_has_to_record_the_ids():
    with pytest.raises(ValueError, match="^num_value_embeddings needs the ids of the tokens"):
        helpers.call(build(), None, TARGETS)


def test_a_table_is_looked_up_once():
    bind()
    with helpers.bench() as b:
        ids = b.put(TARGETS, "batch", "length")
        build().call_simple(inputs=ids, targets=ids, compute_loss=False, mode="eval")
        lookups = [op for op in b.graph.operations if type(op).__name__ == "Lookup"]
    assert len(lookups) == 2  # Of the embedding, and of the table of both layers.
