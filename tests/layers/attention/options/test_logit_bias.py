"""The mask and the buckets of relative biases, against formulas of their own."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.common import graph_marks
from primer.layers import MultiHeadAttention
from primer.layers.attention.options import logit_bias
from tests import gin_models
from tests.layers import composition_checks as checks
from tests.layers import helpers

LENGTH = 40


def bucket(distance, num_buckets, max_distance):
    """Returns the bucket of a distance, from Lingvo's formula."""
    exact = num_buckets // 2
    if distance < exact:
        return distance
    return min(
        num_buckets - 1,
        exact
        + int(np.log(distance / exact) / np.log(max_distance / exact) * (num_buckets - exact)),
    )


def bias(layer, position=None, text_positions=None):
    """Returns what a layer adds to the logits of one row, `[heads, queries, keys]`."""
    heads = mtf.Dimension("heads", layer.num_heads)
    with helpers.bench() as b:
        x = b.put(np.zeros([1, LENGTH, 8], np.float32), "batch", "length", "d_model")
        context = helpers.layer_context(b, x)
        context.position = mtf.range(b.mesh, context.length_dim, tf.int32)
        context.read_priority = context.write_priority = context.position
        if text_positions is not None:
            graph_marks.set_text_positions(b.put(text_positions, "batch", "length"))
        with tf.variable_scope("attention"):
            memory = layer.rename_length_to_memory_length(context.position, context)
            found = logit_bias.compute(layer, context, memory, None, [heads], x)
        (table,) = [v.value for v in b.graph.trainable_variables] or [None]
        keys = memory.shape.dims[0]
        dims = [d for d in (heads, context.length_dim, keys) if d in found.shape.dims]
        found = mtf.transpose(mtf.reduce_sum(found, output_shape=dims), dims)
        values = b.run({"bias": found, **({} if table is None else {"table": table})})
    return values["bias"], values.get("table")


@pytest.mark.parametrize("sizes", [(8, 20), (8, 128), (32, 128), (6, 5)], ids=str)
def test_buckets(sizes):
    num_buckets, max_distance = sizes
    layer = MultiHeadAttention(
        num_heads=2,
        relative_attention_type="bias",
        relative_attention_num_buckets=num_buckets,
        relative_max_distance=max_distance,
    )
    found, table = bias(layer)
    distance = np.maximum(np.arange(LENGTH)[:, None] - np.arange(LENGTH), 0)
    buckets = np.vectorize(lambda d: bucket(d, num_buckets, max_distance))(distance)
    assert buckets.max() == num_buckets - 1 or max_distance == 128
    seen = np.tri(LENGTH, dtype=bool)
    np.testing.assert_allclose(found[:, seen], table[:, buckets][:, seen], rtol=0, atol=1e-6)
    assert (found[:, ~seen] < -1e8).all()


def test_the_table_is_that_of_another_distance():
    """One table for all layers stays one: a checkpoint has the same variables."""
    shapes = []
    for distance in (128, 20):
        model = gin_models.build(
            gin_models.files("transformer"),
            ["num_layers = 2", f"MultiHeadAttention.relative_max_distance = {distance}"],
        )
        shapes.append({k: v.shape for k, v in helpers.random_variables(model).items()})
    assert shapes[0] == shapes[1]
    assert sum(name.endswith("relative_attention_bias") for name in shapes[0]) == 1


def test_a_mask_by_position_sees_what_is_not_above():
    """Lingvo's: segment_pos of the key <= that of the query, wherever they are in the row."""
    positions = np.random.default_rng(0).integers(0, 9, [1, LENGTH]).astype(np.int32)
    layer = MultiHeadAttention(num_heads=2, causal_by_position=True)
    seen = positions[0][None, :] <= positions[0][:, None]
    found, _ = bias(layer, text_positions=positions)
    np.testing.assert_array_equal(found > -1.0, seen)
    by_row, _ = bias(layer)  # Without positions.
    np.testing.assert_array_equal(by_row > -1.0, np.tri(LENGTH, dtype=bool))


@pytest.mark.slow
def test_a_mask_by_position_is_the_mask_of_texts_in_order(tmp_path):
    bindings = ("num_layers = 1", "MultiHeadAttention.causal_by_position = True")
    case = checks.Case(tuple(gin_models.files("gshard", "geglu")), bindings)
    checks.check_steps(case, tmp_path)
    checks.check_packing(case)
    checks.check_causality(case)
    checks.check_mesh(case)
