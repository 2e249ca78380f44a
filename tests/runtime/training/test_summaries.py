"""TensorBoard events: scalars that layers report inside and outside loops."""

import gin
import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.errors import UsageError
from primer.runtime.training import summaries
from tests.runtime import tiny


def lower(build):
    """Lowers the result of `build` to one device and exports it."""
    graph = mtf.Graph()
    mesh = mtf.Mesh(graph, "mesh")
    impl = mtf.placement_mesh_impl.PlacementMeshImpl(mtf.Shape([]), mtf.LayoutRules([]), [""])
    result = build(mesh)
    return mtf.Lowering(graph, {mesh: impl}).export_to_tf_tensor(result)


def scalar(mesh, value):
    return mtf.import_tf_tensor(mesh, tf.constant(value), mtf.Shape([]))


def write_once(model_dir, result):
    writer = summaries.Summaries(str(model_dir), goal=5)
    with tf.Session() as sess:
        sess.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        _, values = sess.run([result, writer.fetches()])
        writer.write(sess, 1, 2.5, values, batch_size=4)
    return tiny.scalars(model_dir)


def reported(mesh):
    value = scalar(mesh, 3.0)
    mtf.scalar_summary("load", value)
    return value


def test_a_scalar_outside_loops_is_written(tmp_path):
    with tf.Graph().as_default():
        result = lower(reported)
        written = write_once(tmp_path, result)
    assert written["load"] == {1: 3.0} and written["loss"] == {1: 2.5}


def test_a_tracker_gets_the_numbers_of_the_events(tmp_path):
    told = {}

    class Tracking:
        def log(self, step, values):
            told[step] = values

    with tf.Graph().as_default():
        result = lower(reported)
        tf.summary.scalar("own", tf.constant(0.5))
        writer = summaries.Summaries(str(tmp_path), goal=9)
        writer.tracking = Tracking()
        with tf.Session() as sess:
            _, values = sess.run([result, writer.fetches()])
            for step in (1, 2, 9):
                writer.write(sess, step, 2.5, values, batch_size=4)
    events = tiny.scalars(tmp_path)
    assert told[1] == {"own": 0.5, "load": 3.0, "loss": 2.5} and list(told) == [1, 9]
    assert {tag: found[9] for tag, found in events.items()} == pytest.approx(told[9])


def looped(mesh):
    def body(number, total):
        mtf.scalar_summary("load", mtf.cast(number, tf.float32))
        return [number + 1, total + number]

    zero = scalar(mesh, 0)
    return mtf.while_loop(lambda number, _: mtf.less(number, 4), body, [zero, zero])[1]


def test_the_mean_of_a_scalar_inside_a_loop_is_written(tmp_path):
    with tf.Graph().as_default():
        written = write_once(tmp_path, lower(looped))
    assert written["load"][1] == pytest.approx(np.mean([0, 1, 2, 3]))


@pytest.mark.parametrize("build", [reported, looped])
def test_a_graph_with_scalars_is_stored_without_a_warning(build, tmp_path, caplog):
    """TensorFlow warns of collections of pairs, which it cannot store."""
    with tf.Graph().as_default():
        write_once(tmp_path, lower(build))
        tf.train.export_meta_graph()
    assert "serializing" not in caplog.text


NORMS = ("gradient_norm", "weight_norm", "update_ratio")
# Each step's change of the weights is then the gradient (times a rate), and each is saved.
GRADIENTS = (
    "utils.run.optimizer = @SgdOptimizer",
    "utils.run.save_checkpoints_steps = 1",
    "utils.run.train_steps = 3",
    "summaries.every = 1",
)


def norms_of_checkpoints(model_dir, step, rate):
    """Returns what NumPy computes of the weights before and after a step, {tag: value}."""
    before, after = (
        {
            name: value.astype(np.float64)
            for name, value in tiny.variables(model_dir, at).items()
            if name != "global_step"
        }
        for at in (step - 1, step)
    )
    changes = {name: before[name] - after[name] for name in before}
    weights, update = (
        np.sqrt(sum(np.sum(value**2) for value in values.values())) for values in (before, changes)
    )
    return dict(zip(NORMS, (update / rate, weights, update / weights), strict=True))


@pytest.mark.parametrize(
    "more",
    [(), ("utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = 32",)],
    ids=["whole", "microbatches"],
)
def test_norms_are_those_of_numpy(tmp_path, more):
    tiny.run(tmp_path, *GRADIENTS, "utils.run.learning_rate_schedule = 1.0", *more)
    scalars = tiny.scalars(tmp_path)
    assert scalars["learning_rate"] == {1: 1.0, 2: 1.0, 3: 1.0}
    for step in (1, 2, 3):
        for tag, value in norms_of_checkpoints(tmp_path, step, rate=1.0).items():
            assert scalars[tag][step] == pytest.approx(value, rel=1e-5), (tag, step)


def test_the_log_has_the_values_of_its_step_and_a_clipped_update(tmp_path):
    """The rate falls at each step; the gradient's norm is that before clipping."""
    tiny.run(
        tmp_path,
        *GRADIENTS,
        "utils.run.learning_rate_schedule = @learning_rate_schedule_noam",
        "learning_rate_schedule_noam.warmup_steps = 1",
        "learning_rate_schedule_noam.linear_decay_fraction = 1.0",
        "training_optimizer.clip_norm = 0.01",
    )
    scalars = tiny.scalars(tmp_path)
    rates = {step: max(step - 1, 1) ** -0.5 * (4 - step) / 3 for step in (1, 2, 3)}
    assert scalars["learning_rate"] == pytest.approx(rates, rel=1e-6)
    values = {tag: scalars[tag][3] for tag in NORMS}
    numpy = norms_of_checkpoints(tmp_path, 3, rates[3])
    assert numpy["gradient_norm"] == pytest.approx(0.01, rel=1e-3)
    assert values["gradient_norm"] > 0.1
    assert values["update_ratio"] == pytest.approx(numpy["update_ratio"], rel=1e-3)
    (line,) = [
        text for text in (tmp_path / "train.log").read_text().splitlines() if " loss " in text
    ]
    assert (
        f"INFO step 3/3  loss {scalars['loss'][3]:.4f}  lr {rates[3]:.1e}  "
        f"grad {values['gradient_norm']:.3g}  weights {values['weight_norm']:.4g}  "
        f"update/weights {values['update_ratio']:.1e}  "
    ) in line


def written_steps(model_dir, start, goal):
    """Writes the events of a session; returns the scalars of the directory."""
    with tf.Graph().as_default(), tf.Session() as sess:
        writer = summaries.Summaries(str(model_dir), goal)
        for step in range(start + 1, goal + 1):
            writer.write(sess, step, 1.0, {"scalars": {}}, batch_size=4)
        writer.close()
    return tiny.scalars(model_dir)


def test_events_are_written_at_the_first_step_at_multiples_and_at_the_last(tmp_path):
    scalars = written_steps(tmp_path, 974, 1207)
    assert sorted(scalars["loss"]) == [975, 980, 990, 1000, 1100, 1200, 1207]
    assert sorted(scalars["global_step/sec"]) == [980, 990, 1000, 1100, 1200, 1207]
    for step, rate in scalars["global_step/sec"].items():
        assert scalars["examples/sec"][step] == pytest.approx(4 * rate)


def test_the_interval_is_a_setting(tmp_path):
    gin.parse_config("summaries.every = 3")
    assert sorted(written_steps(tmp_path, 0, 8)["loss"]) == [1, 3, 6, 8]
    gin.parse_config("summaries.every = 0")
    with pytest.raises(UsageError, match="summaries.every = 0"):
        written_steps(tmp_path, 0, 8)


def test_a_session_drops_the_events_of_the_steps_that_it_trains_again(tmp_path):
    written_steps(tmp_path, 0, 30)
    written_steps(tmp_path, 10, 20)
    assert tiny.dropped_from(tmp_path) == [1, 11]
