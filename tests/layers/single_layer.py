"""Runs one layer without a model, in any mode: a tenth of a model's graph.

`x` is an array `[batch, length, d_model]`, `variables` a dict of name -> array under the layer's
own scope, `ids` the numbers `[batch, length]` of the segments of packed examples, 0 for padding.
Every position sees itself and those before it, as in an autoregressive model.
"""

import zlib

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from tests.layers import helpers

NAMES = ("batch", "length", "d_model")


def context_of(b, x, mode="eval", ids=None):
    """Returns the Context of an autoregressive model for a Tensor x `[batch, length, d_model]`."""
    context = helpers.layer_context(b, x, mode)
    length_dim = context.length_dim
    context.position = mtf.range(b.mesh, length_dim, tf.int32)
    context.position_is_default = True
    context.read_priority = context.write_priority = context.position
    context.losses, context.new_states = [], []
    shape = x.shape.to_integer_list[:2]
    # The input is 0 at the start of a segment and in padding.
    known = np.ones(shape, np.int32) if ids is None else np.asarray(ids, np.int32)
    before = np.pad(known, [[0, 0], [1, 0]])[:, :-1]
    context.inputs = b.put((known == before) * np.minimum(known, 1), "batch", "length")
    if ids is not None:
        context.sequence_id = b.put(known, "batch", "length")
    return context


def random_variables(layer, d_model=32, length=4):
    """Returns values for the variables of a layer; those of vectors are near their initial ones."""
    with helpers.bench() as b:
        x = b.put(np.ones([1, length, d_model], np.float32), *NAMES)
        layer.call(context_of(b, x), x)
        with tf.Session() as session:
            helpers.initialize(session, None)
            values = session.run({v.op.name: v for v in tf.global_variables()})
    for name, value in values.items():
        draw = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(value.shape)
        values[name] = value + 0.1 * draw if value.ndim < 2 else draw * value.shape[-2] ** -0.5
    return {name: value.astype(np.float32) for name, value in values.items()}


def run(
    layer,
    variables,
    x,
    ids=None,
    mode="eval",
    weights=None,
    dtype=tf.float32,
    mesh_shape="",
    layout="",
):
    """Runs all positions at once.

    Args:
        layer: a TransformerLayer.
        variables: a dict, or None for the initial values.
        x: the layer's input.
        ids: segments of packed examples, or None.
        mode: "eval" or "train".
        weights: an array like x: also return the gradients of sum(y * weights).
        dtype: the type of the activations.
        mesh_shape: such as "rows:2,columns:2".
        layout: such as "batch:rows,heads:columns".

    Returns:
        a dict of float32 arrays: y `[batch, length, d_model]`; "loss", if the layer has one; with
        weights "d x" and "d <variable>".
    """
    with helpers.bench(mesh_shape, layout, variables) as b:
        x = mtf.cast(b.put(np.asarray(x, np.float32), *NAMES), dtype)
        context = context_of(b, x, mode, ids)
        outputs = {"y": layer.call(context, x)}
        if context.losses:
            outputs["loss"] = mtf.add_n(context.losses)
        if weights is not None:
            weights = b.put(np.asarray(weights, np.float32), *NAMES)
            loss = mtf.reduce_sum(mtf.cast(outputs["y"], tf.float32) * weights)
            sources = {"d x": x}
            sources.update({"d " + v.name: v.value for v in b.graph.trainable_variables})
            outputs.update(zip(sources, mtf.gradients([loss], list(sources.values()))))
        return b.run({name: mtf.cast(t, tf.float32) for name, t in outputs.items()})


def decode(layer, variables, x, prompt_lengths, mesh_shape="", layout=""):
    """Runs one position after the other, each row from the end of its own prompt.

    Returns:
        y `[batch, length, d_model]`, NaN at the positions of the prompts.
    """
    prompt_lengths = np.asarray(prompt_lengths, np.int32)
    rows, length = np.arange(x.shape[0]), x.shape[1]
    # A constant after the prompts, which must not affect the result.
    given = np.where((np.arange(length) < prompt_lengths[:, None])[:, :, None], x, 3.0)
    outputs = {}
    with helpers.bench(mesh_shape, layout, variables) as b:
        given = b.put(given.astype(np.float32), *NAMES)
        context = context_of(b, given, "first_part")
        context.initial_position = b.put(prompt_lengths, "batch")
        layer.call(context, given)
        for step in range(length - prompt_lengths.min()):
            states = context.new_states
            position = np.minimum(prompt_lengths + step, length - 1)
            context = context_of(b, given, "incremental")
            context.position = context.read_priority = b.put(position, "batch")
            context.position_is_default, context.states = False, states
            here = b.put(x[rows, position].astype(np.float32), "batch", "d_model")
            with tf.variable_scope("", reuse=True):
                outputs[step] = layer.call(context, here)
            assert [s.shape for s in context.new_states] == [s.shape for s in states]
        outputs = b.run(outputs)
    y = np.full(x.shape, np.nan, np.float32)
    for step, values in outputs.items():
        inside = prompt_lengths + step < length
        y[rows[inside], (prompt_lengths + step)[inside]] = values[inside]
    return y


def check_decoding(layer, variables, x, prompt_lengths):
    """Checks that decoding step by step equals all positions at once, to 1e-4."""
    expected = run(layer, variables, x)["y"]
    y = decode(layer, variables, x, prompt_lengths)
    steps = ~np.isnan(y[:, :, 0])
    assert steps.sum() == x.shape[0] * x.shape[1] - sum(prompt_lengths)
    np.testing.assert_allclose(y[steps], expected[steps], rtol=0, atol=1e-4)


def check_packing(layer, variables, x, ids):
    """Checks that packed rows give the outputs and gradients of their segments in own rows."""
    weights = np.random.default_rng(7).standard_normal(x.shape) * (ids > 0)[:, :, np.newaxis]
    slices = _segments(ids)
    rows, row_weights = np.zeros([2, len(slices), *x.shape[1:]])
    row_ids = np.zeros(rows.shape[:2], int)
    for i, (row, part) in enumerate(slices):
        here = slice(0, part.stop - part.start)
        rows[i, here], row_weights[i, here], row_ids[i, here] = x[row, part], weights[row, part], 1
    packed = run(layer, variables, x, ids, "train", weights)
    alone = run(layer, variables, rows, row_ids, "train", row_weights)
    for i, (row, part) in enumerate(slices):
        for key in ("y", "d x"):
            expected = alone[key][i, : part.stop - part.start]
            np.testing.assert_allclose(packed[key][row, part], expected, rtol=0, atol=1e-5)
    for key in set(alone) - {"y", "d x"}:
        np.testing.assert_allclose(packed[key], alone[key], rtol=1e-4, atol=1e-4, err_msg=key)


def _segments(ids):
    """Returns the (row, slice) of each segment."""
    slices = []
    for row, numbers in enumerate(np.asarray(ids)):
        for number in np.unique(numbers[numbers > 0]):
            where = np.flatnonzero(numbers == number)
            slices.append((row, slice(where[0], where[-1] + 1)))
    return slices


def check_mesh(layer, variables, x, ids, mesh_shape, layout):
    """Checks that y and all gradients on a mesh equal those of one device."""
    weights = np.random.default_rng(7).standard_normal(x.shape)
    settings = (layer, variables, x, ids, "train", weights)
    expected = run(*settings)
    values = run(*settings, mesh_shape=mesh_shape, layout=layout)
    assert set(values) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(values[key], value, rtol=1e-4, atol=1e-4, err_msg=key)


def check_causal(layer, variables, x, position):
    """Checks that a change at `position` changes y there and later, and nowhere before."""
    changed = x.copy()
    changed[:, position] += 1
    before, after = (run(layer, variables, v)["y"] for v in (x, changed))
    np.testing.assert_array_equal(before[:, :position], after[:, :position])
    assert (before[:, position:] != after[:, position:]).any(-1).all()
