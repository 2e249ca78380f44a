"""Runs models with memory: rows after one another, with the state that they carry."""

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common.recurrence import carried_state
from primer.runtime.patches import resource_variables
from tests.layers import helpers


def carried(model, variables, rows, mode="eval", gradients=False, **settings):
    """Runs rows one after the other; each continues the text of the one before.

    Args:
        model, variables, rows, mode, gradients: as for `each_row`.
        **settings: as for `each_row`.

    Returns:
        (logits `[batch, all positions, vocab]`, the sum of gradients by name of the weight or {}).
    """
    found = each_row(model, variables, rows, mode, gradients, **settings)
    logits = np.concatenate([values["logits"] for values in found], axis=1)
    names = set(found[0]) - {"logits", "loss"}
    return logits, {name: sum(values[name] for values in found) for name in names}


def each_row(
    model,
    variables,
    rows,
    mode="eval",
    gradients=False,
    mesh_shape="",
    layout="",
    ids=None,
    first=0,
    learning_rate=0.0,
):
    """Runs rows one after the other; each continues the text of the one before.

    Args:
        model: a Unitransformer.
        variables: the values of its weights.
        rows: a list of token ids `[batch, length]`, of one length.
        mode: "eval" or "train".
        gradients: whether to return the gradients of the losses.
        mesh_shape, layout: as for `helpers.call`.
        ids: for each row the texts of its positions; None: one text.
        first: the first input of each row, or of all.
        learning_rate: the rate of a step of plain SGD after each row, which needs `gradients`.

    Returns:
        For each row a dict of logits `[batch, length, vocab]`, loss, and a gradient for each name
        of a weight.
    """
    rows = [np.asarray(row, np.int32) for row in rows]
    ids = [np.ones_like(row) for row in rows] if ids is None else ids
    with helpers.bench(mesh_shape, layout, variables) as b:
        resource_variables.use_resources()  # A mesh makes further variables, of slices.
        feeds = [tf.placeholder(tf.int32, rows[0].shape) for _ in range(3)]
        outputs, assignments = _row(b, model, feeds, mode, gradients)
        kept = {name: mtf.anonymize(t) for name, t in outputs.items()}
        lowering = b.lower()
        exported = {name: lowering.export_to_tf_tensor(t) for name, t in kept.items()}
        update = [lowering.lowered_operation(op) for op in assignments]
        with tf.Session() as session:
            own = tf.global_variables()
            session.run(tf.variables_initializer(own))
            weights = {v.op.name: v for v in own if not carried_state.is_part(v.op.name)}
            values = {name: variables[name] for name in weights}
            found = []
            for number, (row, texts) in enumerate(zip(rows, ids, strict=True)):
                if learning_rate or not number:
                    for name in weights:
                        weights[name].load(values[name], session)
                    session.run(lowering.copy_masters_to_slices())
                feed = dict(zip(feeds, (_inputs(rows, number, first), row, texts), strict=True))
                result, _ = session.run((exported, update), feed)
                found.append(result)
                if learning_rate:
                    values = {k: v - learning_rate * result[k] for k, v in values.items()}
    return found


def _row(b, model, feeds, mode, gradients):
    """Returns the outputs of a row by name, and the operations that update the carried state."""
    batch, length = feeds[0].shape.as_list()
    shape = mtf.Shape([mtf.Dimension("batch", batch), mtf.Dimension("length", length)])
    inputs, targets, segments = (mtf.import_tf_tensor(b.mesh, f, shape) for f in feeds)
    parts = model.layer_stack.carried_parts(model.model_dim, tf.float32, mode == "train")
    state = carried_state.declare(parts)
    state.begin(b.mesh, shape.dims[:-1])
    logits, loss = model.call_simple(
        inputs=inputs,
        targets=targets,
        compute_loss=True,
        mode=mode,
        variable_dtype=mtf.VariableDType(tf.float32),
        sequence_id=segments,
    )
    weights = b.graph.trainable_variables if gradients else []
    grads = mtf.gradients([loss], [v.value for v in weights]) if gradients else []
    named = {v.name: g for v, g in zip(weights, grads, strict=True)}
    return {"logits": logits, "loss": loss, **named}, state.assignments()


def _inputs(rows, number, first):
    """Returns the inputs of a row: its tokens and the one before it, `first` before all rows."""
    row = rows[number]
    before = rows[number - 1][:, -1:] if number else np.zeros_like(row[:, :1])
    if not number:
        before[:, 0] = first
    return np.concatenate([before, row[:, :-1]], axis=1)


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
