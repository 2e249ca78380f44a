"""Accumulated gradients equal optax.MultiSteps, and one step on their mean bit for bit."""

import functools

import mesh_tensorflow as mtf
import numpy as np
import optax
import pytest
import tensorflow.compat.v1 as tf

from primer.common import graph_marks
from primer.optimizers import AdamWOptimizer, TrainingOptimizer, accumulation
from tests.optimizers import optax_run, optimizer_run, problem

STEPS = 3
ADAMW = functools.partial(AdamWOptimizer, weight_decay=0.1)
OWN = ("accumulated", "scalars/", "global_step")


def accumulated(**settings):
    return functools.partial(TrainingOptimizer, ADAMW, accumulate_steps=STEPS, **settings)


@pytest.mark.parametrize("clip", [None, 10.0])
def test_it_equals_optax(clip):
    """The mean is clipped, not the gradients of each step."""

    def theirs(rate):
        adamw = optax.adamw(rate, 0.9, 0.95, 1e-8, weight_decay=0.1, mask=optax_run.no_vectors)
        clipped = adamw if clip is None else optax.chain(optax.clip_by_global_norm(clip), adamw)
        return optax.MultiSteps(clipped, every_k_schedule=STEPS)

    states = optimizer_run.run_problem(accumulated(clip_norm=clip))
    initial = problem.weights()
    for number, (state, weights) in enumerate(zip(states, optax_run.run(theirs), strict=True), 1):
        for name, value in weights.items():
            moved = np.abs(value - initial[name]).max()
            assert (moved > 0) == (number >= STEPS)
            np.testing.assert_allclose(state[name], value, rtol=1e-6, atol=1e-5 * moved)


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
def test_it_equals_one_step_on_the_mean_bit_for_bit(mesh, layout):
    states = optimizer_run.run_problem(accumulated(), mesh, layout)
    gradients, rates = problem.gradients(), problem.rates()
    means = []
    for first in range(0, problem.STEPS - STEPS + 1, STEPS):
        sums = {name: np.zeros_like(value) for name, value in gradients[0].items()}
        for step in range(first, first + STEPS):
            sums = {name: total + gradients[step][name] for name, total in sums.items()}
        means.append({name: total / np.float32(STEPS) for name, total in sums.items()})
    alone = optimizer_run.run(
        ADAMW, problem.weights(), problem.DIMS, means, rates[STEPS - 1 :: STEPS], mesh, layout
    )
    assert len(alone) == problem.STEPS // STEPS
    for number, expected in enumerate(alone, 1):
        for name, value in expected.items():
            if name != "global_step":
                np.testing.assert_array_equal(states[number * STEPS - 1][name], value, name)


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
def test_between_updates_neither_weights_nor_state_nor_counts_change(mesh, layout):
    states = optimizer_run.run_problem(accumulated(average_decay=0.9), mesh, layout)
    for number, (before, after) in enumerate(zip(states, states[1:], strict=False), 2):
        names = [name for name in after if not any(own in name for own in OWN)]
        counts = {"adamw_updates", "adamw_matrices_updates", "average_updates"}
        assert {"embedding", "embedding_slot_adam_m"} | counts <= set(names)
        same = [np.array_equal(before[name], after[name]) for name in names]
        assert not any(same) if number % STEPS == 0 else all(same)
        assert (after["scalars/update_ratio"] > 0) == (number % STEPS == 0)
        assert after["accumulated_steps"] == number % STEPS


def test_gradients_in_bfloat16_are_added_in_float32():
    states = optimizer_run.run_problem(accumulated(), activation_dtype=tf.bfloat16)
    rounded = [
        g["embedding"].astype(tf.bfloat16.as_numpy_dtype).astype("f") for g in problem.gradients()
    ]
    np.testing.assert_array_equal(states[1]["embedding_slot_accumulated"], rounded[0] + rounded[1])


def test_a_smaller_number_of_a_resumed_run_updates_at_once():
    with tf.Graph().as_default():
        mesh = mtf.Mesh(mtf.Graph(), "mesh")
        shape = mtf.Shape([mtf.Dimension("d_model", 1)])
        mtf.get_variable(mesh, "w", shape)
        gradient = mtf.ones(mesh, shape) * 6.0
        result = accumulation.accumulate([gradient], mesh.graph.trainable_variables, 2)
        implementation = mtf.placement_mesh_impl.PlacementMeshImpl("", "", [""])
        lowering = mtf.Lowering(mesh.graph, {mesh: implementation})
        fetches = [lowering.export_to_tf_tensor(result.is_complete)]
        fetches.append(lowering.export_to_tf_tensor(result.gradients[0]))
        state = {v.op.name: v for v in tf.global_variables()}
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            state["accumulated_steps"].load(3.0, sess)
            state["w_slot_accumulated"].load([2.0], sess)
            sess.run(lowering.copy_masters_to_slices())
            is_complete, mean = sess.run(fetches)
    assert is_complete and mean == [2.0]


@pytest.mark.parametrize(("steps", "rest"), [(20, 2), (21, 0), (None, 0)])
def test_a_run_whose_last_steps_update_nothing_is_remarked_on(steps, rest):
    with tf.Graph().as_default():
        graph_marks.set_schedule(0.1, steps)
        accumulation._remark_on_rest(STEPS)
        expected = [
            f"utils.run.train_steps = {steps} is no multiple of accumulate_steps = 3: the "
            f"gradients of the last {rest} steps update nothing"
        ]
        assert graph_marks.remarks() == (expected if rest else [])
