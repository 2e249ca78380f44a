"""Runs models one position after the other, as Mesh-TF's decoding does."""

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from tests.layers import helpers


def decode(model, variables, targets, prompt_lengths, mesh_shape="", layout=""):
    """Runs one position after the other, each given the targets before it.

    As in `sample_autoregressive`, prompts run in mode "first_part", the rest in mode "incremental",
    every row from the end of its own prompt.

    Returns:
        float32 logits `[batch, length, vocab]`, NaN at the positions of the prompts.
    """
    targets = np.asarray(targets, np.int32)
    prompt_lengths = np.asarray(prompt_lengths, np.int32)
    batch, length = targets.shape
    steps = length - prompt_lengths.min()
    with helpers.bench(mesh_shape, layout, variables) as b:
        given = np.where(np.arange(length) < prompt_lengths[:, None], targets, 0)
        states = _first_part(model, b, b.put(given, "batch", "length"), prompt_lengths.any())
        ids, outputs = b.put(targets, "batch", "length"), {}
        for step in range(steps):
            position = b.put(prompt_lengths + step, "batch")
            outputs[step], states = _step(model, b, ids, position, states)
        outputs = b.run(outputs)
    logits = np.full([batch, length, outputs[0].shape[-1]], np.nan, np.float32)
    for step, values in outputs.items():
        for row, start in enumerate(prompt_lengths):
            if start + step < length:
                logits[row, start + step] = values[row]
    return logits


def _context(model, b, ids, **settings):
    length_dim = ids.shape.dims[-1]
    return transformer.Context(
        model=model,
        mesh=b.mesh,
        batch_dims=ids.shape.dims[:-1],
        length_dim=length_dim,
        variable_dtype=mtf.VariableDType(tf.float32),
        new_states=[],
        write_priority=mtf.range(b.mesh, length_dim, tf.int32),
        **settings,
    )


def _first_part(model, b, partial, has_prompts):
    """Returns the states after the prompts; zeros without prompts, as in Mesh-TF."""
    length_dim = partial.shape.dims[-1]
    positions = mtf.range(b.mesh, length_dim, tf.int32)
    start = mtf.reduce_sum(mtf.to_int32(mtf.not_equal(partial, 0)), reduced_dim=length_dim)
    context = _context(
        model,
        b,
        partial,
        mode="first_part",
        position=positions,
        position_is_default=True,
        initial_position=start,
        constant_states=[],
        read_priority=positions,
        inputs=partial,
    )
    with tf.variable_scope(model.name):
        model._call_internal(context, transformer.autoregressive_inputs(partial))
    if has_prompts:
        return context.new_states
    return [mtf.zeros_like(state) for state in context.new_states]


def _step(model, b, ids, position, states):
    """Returns the logits `[batch, vocab]` of one position, and the states after it."""
    length_dim = ids.shape.dims[-1]
    inputs = mtf.gather(ids, position - 1, length_dim)
    context = _context(
        model,
        b,
        ids,
        mode="incremental",
        position=position,
        states=states,
        constant_states=[],
        read_priority=position,
        inputs=inputs,
    )
    with tf.variable_scope(model.name, reuse=True):
        logits = model._call_internal(context, inputs)
    assert [s.shape for s in context.new_states] == [s.shape for s in states]
    return logits, context.new_states


def sample(model, variables, prompts, **settings):
    """Returns greedy ids `[batch, length]` of Mesh-TF's own sampling loop, prompts included."""
    with helpers.bench(variables=variables) as b:
        partial = b.put(np.asarray(prompts, np.int32), "batch", "length")
        return b.run({"ids": model.sample_autoregressive(partial, **settings)})["ids"]
