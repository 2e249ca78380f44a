"""Runs models with memory: rows after one another, with the state that they carry."""

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common.recurrence import carried_state
from primer.runtime.patches import resource_variables
from tests.layers import helpers


def carried(
    model,
    variables,
    rows,
    mode="eval",
    gradients=False,
    mesh_shape="",
    layout="",
    ids=None,
    first=0,
):
    """Runs rows one after the other; each continues the text of the one before.

    Args:
        model: a Unitransformer.
        variables: the values of its weights.
        rows: a list of token ids `[batch, length]`, of one length.
        mode: "eval" or "train".
        gradients: whether to sum the gradients of the losses.
        mesh_shape, layout: as for `helpers.call`.
        ids: for each row the texts of its positions; None: one text.
        first: the first input of each row, or of all.

    Returns:
        (logits `[batch, all positions, vocab]`, the sum of gradients by name of the weight or {}).
    """
    rows = [np.asarray(row, np.int32) for row in rows]
    ids = [np.ones_like(row) for row in rows] if ids is None else ids
    with helpers.bench(mesh_shape, layout, variables) as b:
        resource_variables.use_resources()  # A mesh makes further variables, of slices.
        feeds = [tf.placeholder(tf.int32, rows[0].shape) for _ in range(3)]
        shape = mtf.Shape([mtf.Dimension("batch", rows[0].shape[0])])
        shape += mtf.Dimension("length", rows[0].shape[1])
        inputs, targets, segments = (mtf.import_tf_tensor(b.mesh, f, shape) for f in feeds)
        dtype = mtf.VariableDType(tf.float32)
        parts = model.layer_stack.carried_parts(model.model_dim, tf.float32, mode == "train")
        state = carried_state.declare(parts)
        state.begin(b.mesh, shape.dims[:-1])
        logits, loss = model.call_simple(
            inputs=inputs,
            targets=targets,
            compute_loss=True,
            mode=mode,
            variable_dtype=dtype,
            sequence_id=segments,
        )
        weights = b.graph.trainable_variables if gradients else []
        grads = mtf.gradients([loss], [v.value for v in weights]) if gradients else []
        assignments = state.assignments()
        kept = [mtf.anonymize(t) for t in (logits, *grads)]
        lowering = b.lower()
        exported = [lowering.export_to_tf_tensor(t) for t in kept]
        update = [lowering.lowered_operation(op) for op in assignments]
        found, sums = [], 0.0
        with tf.Session() as session:
            own = tf.global_variables()
            session.run(tf.variables_initializer(own))
            for v in own:
                if not carried_state.is_part(v.op.name):
                    v.load(variables[v.op.name], session)
            session.run(lowering.copy_masters_to_slices())
            everything = np.concatenate(rows, axis=1)
            before = np.roll(everything, 1, axis=1)
            before[:, 0] = first
            length = rows[0].shape[1]
            for number, (row, texts) in enumerate(zip(rows, ids, strict=True)):
                begin = number * length
                given = before[:, begin : begin + length]
                feed = dict(zip(feeds, (given, row, texts), strict=True))
                values, _ = session.run((exported, update), feed)
                found.append(values[0])
                sums = [a + b for a, b in zip(values[1:], sums or [0.0] * len(grads), strict=True)]
    named = {v.name: g for v, g in zip(weights, sums, strict=True)} if gradients else {}
    return np.concatenate(found, axis=1), named


def at_once(model, variables, targets, mode="eval", gradients=False, inputs=None):
    """Runs a row alone; returns its logits, and the gradients by name of the weight or {}."""
    targets = np.asarray(targets, np.int32)
    with helpers.bench(variables=variables) as b:
        ids = b.put(targets, "batch", "length")
        given = None if inputs is None else b.put(np.asarray(inputs, np.int32), "batch", "length")
        logits, loss = model.call_simple(
            inputs=transformer.autoregressive_inputs(ids) if inputs is None else given,
            targets=ids,
            compute_loss=True,
            mode=mode,
            variable_dtype=mtf.VariableDType(tf.float32),
        )
        weights = b.graph.trainable_variables if gradients else []
        grads = mtf.gradients([loss], [v.value for v in weights]) if gradients else []
        names = [v.name for v in weights]
        outputs = {"logits": logits, **dict(zip(names, grads, strict=True))}
        values = b.run({name: mtf.cast(t, tf.float32) for name, t in outputs.items()})
    return values.pop("logits"), values
