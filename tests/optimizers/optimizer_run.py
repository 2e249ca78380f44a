"""Runs a Mesh-TF optimizer on given gradients, on one device or on a mesh."""

from collections.abc import Callable, Sequence
from typing import Any

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.common import graph_marks
from primer.runtime.patches import resource_variables
from tests.optimizers import problem

# On a mesh of rows:2, cols:2 these dimensions are split.
LAYOUT_2X2 = "d_model:rows,d_ff:cols,heads:cols,vocab:cols"
MESH_2X2 = "rows:2,cols:2"
MESHES = [pytest.param("", "", id="one"), pytest.param(MESH_2X2, LAYOUT_2X2, id="2x2")]

Weights = dict[str, np.ndarray]


def run(
    make_optimizer: Callable[..., Any],
    weights: Weights,
    dims: dict[str, Sequence[str]],
    gradients: Sequence[Weights] | Callable[[Weights], Weights],
    rates: Sequence[float],
    mesh_shape: str = "",
    layout: str = "",
    losses: Sequence[float] | None = None,
    activation_dtype: tf.DType = tf.float32,
) -> list[Weights]:
    """Returns the values of all variables after each step, weights and the optimizer's.

    The scalars for TensorBoard, if there are any, are among them as `scalars/<name>`.

    Args:
        make_optimizer: the optimizer, called with `learning_rate`, a TensorFlow scalar.
        weights: {name: initial value}.
        dims: {name: the names of its dimensions}.
        gradients: of each step, {name: gradient}; or a function that computes them from the weights
            before the step.
        rates: the learning rate of each step.
        mesh_shape, layout: as of utils.run; "" for one device.
        losses: the training loss of each step, for optimizers that read it.
        activation_dtype: the type of the activations, and so of the gradients.
    """
    with tf.Graph().as_default():
        resource_variables.use_resources()
        tf.train.get_or_create_global_step()
        rate = tf.placeholder(tf.float32, [])
        loss = tf.placeholder(tf.float32, [])
        feeds = {name: tf.placeholder(tf.float32, value.shape) for name, value in weights.items()}
        graph, lowering, updates = _build(
            make_optimizer, weights, dims, feeds, rate, loss, mesh_shape, layout, activation_dtype
        )
        step = tf.train.get_global_step()
        with tf.control_dependencies(updates):
            train = tf.group(tf.assign_add(step, 1))
        names = {v.name: v for v in tf.global_variables()}
        scalars = {
            f"scalars/{name}": value
            for name, value in tf.get_collection(mtf.utils.SCALAR_SUMMARIES_COLLECTION_KEY)
        }
        to_masters = lowering.copy_slices_to_masters()
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            sess.run(lowering.copy_masters_to_slices())
            states = []
            values = weights
            for number, step_rate in enumerate(rates):
                values = gradients(values) if callable(gradients) else gradients[number]
                feed = {feeds[name]: value for name, value in values.items()}
                feed |= {rate: step_rate, loss: losses[number] if losses else 0.0}
                _, found = sess.run([train, scalars], feed)
                sess.run(to_masters)
                values = {k.removesuffix(":0"): v for k, v in sess.run(names).items()}
                states.append(found | values)
    return states


def _build(make_optimizer, weights, dims, feeds, rate, loss, mesh_shape, layout, activation_dtype):
    shape = mtf.convert_to_shape(mesh_shape)
    implementation = mtf.placement_mesh_impl.PlacementMeshImpl(
        shape, mtf.convert_to_layout_rules(layout), [""] * shape.size
    )
    graph = mtf.Graph()
    mesh = mtf.Mesh(graph, "optimizer_run")
    grads = []
    for name, value in weights.items():
        sizes = mtf.Shape(
            [mtf.Dimension(*dim) for dim in zip(dims[name], value.shape, strict=True)]
        )
        dtype = mtf.VariableDType(tf.float32, tf.float32, activation_dtype)
        mtf.get_variable(mesh, name, sizes, dtype, initializer=tf.constant_initializer(value))
        grad = mtf.import_fully_replicated(mesh, feeds[name], sizes)
        grads.append(mtf.cast(grad, activation_dtype))
    graph_marks.set_training_loss(mtf.import_fully_replicated(mesh, loss, mtf.Shape([])))
    updates = make_optimizer(learning_rate=rate).apply_grads(grads, graph.trainable_variables)
    lowering = mtf.Lowering(graph, {mesh: implementation})
    return graph, lowering, [lowering.lowered_operation(operation) for operation in updates]


def run_problem(
    make_optimizer: Callable[..., Any], mesh_shape: str = "", layout: str = "", **more: Any
) -> list[Weights]:
    """Returns what `run` does for the weights, gradients and rates of `problem`."""
    return run(
        make_optimizer,
        problem.weights(),
        problem.DIMS,
        problem.gradients(),
        problem.rates(),
        mesh_shape,
        layout,
        **more,
    )


def check(
    make_optimizer: Callable[..., Any],
    expected: Sequence[Weights],
    mesh_shape: str = "",
    layout: str = "",
    rounded: int = 1,
) -> None:
    """Checks the weights of `problem` after each step to 1e-5 of all that each has moved so far.

    Args:
        make_optimizer, mesh_shape, layout: as of `run_problem`.
        expected: the weights after each step.
        rounded: how many of the two sides round their weights to float32 at each step.
    """
    states = run_problem(make_optimizer, mesh_shape, layout)
    initial = problem.weights()
    assert len(states) == len(expected) == problem.STEPS
    for number, (state, weights) in enumerate(zip(states, expected, strict=True), 1):
        for name, value in weights.items():
            # What rounding a float32 weight at each step may add up to.
            rounding = rounded * number * np.finfo(np.float32).eps * np.abs(value).max()
            moved = np.abs(value - initial[name]).max()
            assert moved > 0
            np.testing.assert_allclose(
                state[name], value, rtol=0, atol=1e-5 * moved + rounding, err_msg=name
            )
