"""Clipping and rates per group around any optimizer; other files have the other settings."""

import functools

import mesh_tensorflow as mtf
import numpy as np
import optax
import pytest
import tensorflow.compat.v1 as tf

from primer.common import graph_marks
from primer.errors import UsageError
from primer.optimizers import AdamWOptimizer, TrainingOptimizer
from tests import slow
from tests.optimizers import optax_run, optimizer_run, problem

optimize = mtf.optimize
ADAMW = functools.partial(AdamWOptimizer, weight_decay=0.1)
# Mesh-TF's optimizers, and the settings that they do not have by default.
MESH_TF = {
    "adafactor": functools.partial(
        optimize.AdafactorOptimizer, decay_rate=0.9, min_dim_size_to_factor=8, beta1=0.9
    ),
    "adafactor_by_name": functools.partial(
        optimize.AdafactorWithMultiLRSchedule,
        decay_rate=0.9,
        variable_search=["embedding"],
        alt_lr_schedules=[[0.5]],
    ),
    "adam": functools.partial(optimize.AdamWeightDecayOptimizer, weight_decay_rate=0.1),
    "sgd": optimize.SgdOptimizer,
    "momentum": functools.partial(optimize.MomentumOptimizer, momentum=0.9),
}


def around(inner, **settings):
    """Returns the constructor of an optimizer around another one."""
    return functools.partial(TrainingOptimizer, inner, **settings)


def theirs(rate):
    return optax.adamw(rate, 0.9, 0.95, 1e-8, weight_decay=0.1, mask=optax_run.no_vectors)


def test_gradients_of_the_problem_are_on_both_sides_of_the_clip():
    norms = [np.sqrt(sum(np.sum(g**2) for g in step.values())) for step in problem.gradients()]
    assert min(norms) < 20 < max(norms)


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
@pytest.mark.parametrize("clip", [20.0, 0.5])
def test_clipping_equals_optax(clip, mesh, layout):
    def clipped(rate):
        return optax.chain(optax.clip_by_global_norm(clip), theirs(rate))

    ours = around(ADAMW, clip_norm=clip)
    optimizer_run.check(ours, optax_run.run(clipped), mesh, layout)


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
def test_groups_of_rates_equal_optax(mesh, layout):
    """The first pattern that is found decides; the norm to clip is that of all groups together."""
    groups = [("embedding", 0.1), ("kernel", 3.0), ("wi", 0.0)]

    def factor(name):
        return next((f for pattern, f in groups if pattern in name), 1.0)

    def grouped(rate):
        factors = {0.1, 3.0, 0.0, 1.0}
        parts = {str(f): theirs(rate * f) for f in factors}
        labels = {name: str(factor(name)) for name in problem.DIMS}
        return optax.chain(optax.clip_by_global_norm(20.0), optax.multi_transform(parts, labels))

    expected = optax_run.run(grouped)
    still = "layer/wi/bias"
    states = optimizer_run.run_problem(
        around(ADAMW, clip_norm=20.0, learning_rate_groups=groups), mesh, layout
    )
    initial = problem.weights()
    np.testing.assert_array_equal(states[-1][still], initial[still])
    for state, weights in zip(states, expected, strict=True):
        for name in problem.DIMS:
            moved = np.abs(weights[name] - initial[name]).max()
            np.testing.assert_allclose(state[name], weights[name], rtol=1e-6, atol=1e-5 * moved)


@pytest.mark.parametrize("as_list", [False, True])
def test_a_group_may_have_a_schedule(as_list):
    def schedule(step, total_train_steps):
        return 0.05 * (1.0 - tf.cast(step, tf.float32) / total_train_steps)

    def make(learning_rate):
        graph_marks.set_schedule(learning_rate, problem.STEPS)
        value = [0.5, schedule] if as_list else schedule
        return TrainingOptimizer(ADAMW, learning_rate, learning_rate_groups=[("embed", value)])

    states = optimizer_run.run_problem(make)
    factor = 0.5 if as_list else 1.0
    rates = [factor * 0.05 * (1 - step / problem.STEPS) for step in range(problem.STEPS)]
    alone = optimizer_run.run(ADAMW, problem.weights(), problem.DIMS, problem.gradients(), rates)
    for name, other in (("embedding", alone), ("layer/q", optimizer_run.run_problem(ADAMW))):
        for ours, expected in zip(states, other, strict=True):
            np.testing.assert_allclose(ours[name], expected[name], rtol=1e-6, atol=1e-7)


def test_a_schedule_of_a_group_needs_the_steps_of_the_run():
    make = around(ADAMW, learning_rate_groups=[("embedding", lambda **kwargs: 1.0)])
    with pytest.raises(
        UsageError, match="learning_rate_groups: a schedule needs utils.run.train_s"
    ):
        optimizer_run.run_problem(make)


@pytest.mark.parametrize("name", MESH_TF)
def test_mesh_tfs_optimizers_are_the_same_inside_of_it(name):
    alone = optimizer_run.run_problem(MESH_TF[name])
    inside = optimizer_run.run_problem(around(MESH_TF[name]))
    for first, second in zip(alone, inside, strict=True):
        assert first.keys() <= second.keys()
        for variable, value in first.items():
            np.testing.assert_array_equal(value, second[variable], err_msg=variable)


@pytest.mark.parametrize(
    ("name", "mesh", "layout"),
    slow.all_but(
        lambda case: not case[1] or case[0] == "adafactor",
        [(name, *mesh.values) for mesh in optimizer_run.MESHES for name in MESH_TF],
        lambda case: f"{case[0]}-{case[1]}",
    ),
)
def test_mesh_tfs_optimizers_take_all_settings(name, mesh, layout):
    """The weights equal those of the optimizer alone on the clipped mean gradients."""
    steps = 2
    settings = dict(accumulate_steps=steps, average_decay=0.9, skip_outliers=6.0, clip_norm=5.0)
    states = optimizer_run.run_problem(around(MESH_TF[name], **settings), mesh, layout)
    gradients, rates = problem.gradients(), problem.rates()
    means = [
        {n: (first[n] + second[n]) / np.float32(2) for n in first}
        for first, second in zip(gradients[::2], gradients[1::2], strict=True)
    ]
    norms = [np.sqrt(sum(np.sum(np.float64(g) ** 2) for g in mean.values())) for mean in means]
    clipped = [
        {n: np.float32(g * min(1.0, 5.0 / norm)) for n, g in mean.items()}
        for mean, norm in zip(means, norms, strict=True)
    ]
    alone = optimizer_run.run(
        MESH_TF[name], problem.weights(), problem.DIMS, clipped, rates[1::2], mesh, layout
    )
    initial = problem.weights()
    for number, expected in enumerate(alone):
        for weight in problem.DIMS:
            moved = np.abs(expected[weight] - initial[weight]).max()
            np.testing.assert_allclose(
                states[2 * number + 1][weight], expected[weight], rtol=1e-6, atol=1e-5 * moved
            )


def test_norms_are_among_the_scalars():
    state = optimizer_run.run_problem(around(ADAMW, clip_norm=0.5))[0]
    flat = np.concatenate([g.ravel() for g in problem.gradients()[0].values()])
    weights = {name: value for name, value in problem.weights().items()}
    change = np.concatenate([(weights[name] - state[name]).ravel() for name in weights])
    size = np.linalg.norm(np.concatenate([value.ravel() for value in weights.values()]))
    np.testing.assert_allclose(state["scalars/gradient_norm"], np.linalg.norm(flat), rtol=1e-5)
    np.testing.assert_allclose(state["scalars/weight_norm"], size, rtol=1e-5)
    ratio = np.linalg.norm(change) / size
    np.testing.assert_allclose(state["scalars/update_ratio"], ratio, rtol=1e-3)


class Assigning(optimize.Optimizer):
    """An optimizer that assigns weights instead of subtracting from them."""

    def __init__(self, learning_rate):
        self._learning_rate = learning_rate

    def apply_grad(self, grad, var):
        return [mtf.assign(var, var.value - grad * self._learning_rate)]


def test_an_optimizer_that_assigns_weights_is_refused():
    with pytest.raises(UsageError, match="@Assigning assigns to embedding other than by mtf.assig"):
        optimizer_run.run_problem(around(Assigning))


def test_state_in_bfloat16_beside_gradients_in_float32_is_refused():
    """Mesh-TF would raise a TypeError of TensorFlow when it multiplies them by the rate."""
    with pytest.raises(UsageError, match="precision.activation_dtype = 'float32'"):
        optimizer_run.run_problem(around(MESH_TF["momentum"]), activation_dtype=tf.bfloat16)


def test_mesh_tfs_sgd_takes_gradients_in_bfloat16():
    """Alone it multiplies them by the schedule's rate in float32: a TypeError of TensorFlow."""
    states = optimizer_run.run_problem(around(MESH_TF["sgd"]), activation_dtype=tf.bfloat16)
    weights = problem.weights()
    for gradients, rate, state in zip(problem.gradients(), problem.rates(), states, strict=True):
        for name, gradient in gradients.items():
            rounded = gradient.astype(tf.bfloat16.as_numpy_dtype).astype("f")
            weights[name] = weights[name] - np.float32(rate) * rounded
            np.testing.assert_allclose(state[name], weights[name], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "decay", "is_said"),
    [("adafactor", 0.1, True), ("adafactor", 0.0, False), ("adamw", 0.1, False)],
)
def test_a_decay_without_effect_is_remarked_on(name, decay, is_said):
    remarks = []

    def make(learning_rate):
        class Remarking(TrainingOptimizer):
            def apply_grads(self, grads, variables):
                operations = super().apply_grads(grads, variables)
                remarks.extend(graph_marks.remarks())
                return operations

        inner = {"adamw": ADAMW, **MESH_TF}[name]
        return Remarking(inner, learning_rate, weight_decay=decay)

    optimizer_run.run(make, problem.weights(), problem.DIMS, problem.gradients()[:1], [0.1])
    assert any("weight_decay = 0.1 has no effect" in remark for remark in remarks) == is_said


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clip_norm": -1.0}, "optimizer.clip_norm = -1.0: expected a number above 0, or None"),
        ({"clip_norm": 0.0}, "optimizer.clip_norm = 0.0: expected a number above 0, or None for n"),
        ({"clip_norm": "1"}, "training_optimizer.clip_norm = '1': expected a number above 0"),
        ({"clip_norm": True}, "training_optimizer.clip_norm = True: expected a number above 0"),
        ({"accumulate_steps": 0}, "optimizer.accumulate_steps = 0: expected a whole number of 1 o"),
        ({"accumulate_steps": 2.0}, "training_optimizer.accumulate_steps = 2.0: expected a whole"),
        ({"accumulate_steps": None}, "training_optimizer.accumulate_steps = None: expected a who"),
        ({"average_decay": 1.0}, "training_optimizer.average_decay = 1.0: expected a number from"),
        ({"average_decay": "0.9"}, "training_optimizer.average_decay = '0.9': expected a number"),
        ({"skip_outliers": 0}, "training_optimizer.skip_outliers = 0: expected a number above 0"),
        ({"skip_outliers": True}, "training_optimizer.skip_outliers = True: expected a number ab"),
        ({"spike_threshold": -1}, "optimizer.spike_threshold = -1: expected a number above 0, or"),
        ({"weight_decay": "x"}, "training_optimizer.weight_decay = 'x': expected a number of 0 or"),
        ({"outlier_window": 1}, "training_optimizer.outlier_window = 1: expected a whole number"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        TrainingOptimizer(AdamWOptimizer, 1e-3, **settings)


def test_an_optimizer_that_is_no_class_is_refused():
    with pytest.raises(UsageError, match="utils.run.optimizer = .adamw.: expected an optim"):
        TrainingOptimizer("adamw", 1e-3)


@pytest.mark.parametrize("groups", [[], [("embedding", 0.1)]])
def test_a_run_without_a_rate_is_refused(groups):
    inner = MESH_TF["adafactor"] if groups else AdamWOptimizer
    make = around(inner, learning_rate_groups=groups)
    with pytest.raises(UsageError, match="learning_rate_schedule = None: "):
        optimizer_run.run_problem(lambda learning_rate: make(learning_rate=None))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["embedding"], r"learning_rate_groups = \['embedding'\]: expected pairs of a regular"),
        ("embedding", "learning_rate_groups = 'embedding': expected pairs of a regular expression"),
        (None, "learning_rate_groups = None: expected pairs of a regular expression and a rate"),
        ([("embedding",)], "expected pairs of a regular expression and a rate, as in"),
        ([("(", 0.1)], r"learning_rate_groups = '\(': expected a regular expression"),
        ([(3, 0.1)], "learning_rate_groups = 3: expected a regular expression"),
        ([("embeding", 0.1)], "learning_rate_groups: 'embeding' is found in the name of no weight"),
        ([("embedding", -1)], "the rate of 'embedding' = -1: expected a number of 0 or more"),
        ([("embedding", "0.1")], "the rate of 'embedding' = '0.1': expected a number of 0 or more"),
        ([("embedding", None)], "the rate of 'embedding' = None: expected a number of 0 or more"),
    ],
)
def test_malformed_groups_are_refused(groups, message):
    with pytest.raises(UsageError, match=message):
        optimizer_run.run_problem(around(AdamWOptimizer, learning_rate_groups=groups))


def test_a_pattern_may_be_of_blocks_that_are_left_out():
    """`primer check` builds the optimizer for the first block alone."""

    def make(learning_rate):
        graph_marks.leave_out_blocks()
        groups = [("block_001", 0.1)]
        return TrainingOptimizer(ADAMW, learning_rate, learning_rate_groups=groups)

    assert len(optimizer_run.run_problem(make)) == problem.STEPS


def test_without_any_gradient_nothing_is_updated():
    graph = mtf.Graph()
    with tf.Graph().as_default():
        mesh = mtf.Mesh(graph, "mesh")
        mtf.get_variable(mesh, "w", mtf.Shape([mtf.Dimension("d_model", 2)]))
        optimizer = TrainingOptimizer(AdamWOptimizer, 1e-3, skip_outliers=6.0)
        assert optimizer.apply_grads([None], graph.trainable_variables) == []
