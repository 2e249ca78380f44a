"""Training from another model's weights starts at step 0 and says what was loaded."""

import json
import shutil

import gin
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.errors import UsageError
from primer.runtime.training import initial_weights
from primer.runtime.training.starting import plan
from tests.evaluation import small_checkpoints
from tests.runtime import tiny


def start_from(path, model_dir, *bindings):
    """Trains one step from another model's weights."""
    tiny.run(
        model_dir,
        f"utils.run.init_checkpoint = '{path}'",
        "utils.run.train_steps = 1",
        *bindings,
    )


@pytest.fixture
def schedule():
    """A rate that falls to zero at the last step."""
    return (
        "utils.run.learning_rate_schedule = [@learning_rate_schedules.linear_decay]",
        "learning_rate_schedules.linear_decay.steps_or_fraction = 1.0",
    )


def test_it_starts_at_step_0_with_the_weights_and_new_slots(trained, tmp_path, capfd, schedule):
    start_from(trained, tmp_path, *schedule)
    before, first = tiny.variables(trained, 6), tiny.variables(tmp_path, 0)
    weights = [name for name in first if "slot" not in name and first[name].ndim]
    tiny.assert_equal_variables(*({n: v[n] for n in weights} for v in (before, first)))
    assert (first["global_step"], tiny.variables(tmp_path, 1)["global_step"]) == (0, 1)
    assert all(not value.any() for name, value in first.items() if "_slot_v" in name)
    assert tiny.scalars(tmp_path)["learning_rate"] == {1: 1.0}
    message = capfd.readouterr().err
    assert f"{len(weights)} of {len(weights)} variables loaded from {trained}/model" in message
    assert "starts at step 0 with a new optimizer" in message


def test_a_resumed_run_does_not_read_the_other_model_again(trained, tmp_path, capfd):
    other = shutil.copytree(trained, tmp_path / "other")
    start_from(other / "model.ckpt-6", tmp_path / "new")
    shutil.rmtree(other)
    capfd.readouterr()
    start_from(other / "model.ckpt-6", tmp_path / "new", "utils.run.train_steps = 2")
    message = capfd.readouterr().err
    assert "resuming at step 1" in message and "variables loaded" not in message
    record = json.loads((tmp_path / "new" / "primer.json").read_text())["initial_weights"]
    assert (record["from"], record["step"]) == (str(other / "model.ckpt-6"), 6)
    with pytest.raises(SystemExit):
        start_from(trained, tmp_path / "new", "utils.run.train_steps = 3")
    assert f"a run that started from {other}/model.ckpt-6" in capfd.readouterr().err


def test_the_step_and_the_optimizer_go_on_where_asked(trained, tmp_path, capfd):
    """Dropout and the rate are functions of the step: the first seventh step is the same."""
    once = ("utils.run.train_steps = 7", "utils.run.save_checkpoints_steps = 7")
    start_from(trained, tmp_path / "kept", "initial_weights.keep_step = True", *once)
    message = capfd.readouterr().err
    assert "Training goes on at step 6 with" in message and "step 7/7" in message
    kept = {step: tiny.variables(tmp_path / "kept", step) for step in (6, 7)}
    tiny.assert_equal_variables(tiny.variables(trained, 6), kept[6])
    assert kept[7]["global_step"] == 7
    assert any((kept[7][n] != v).any() for n, v in kept[6].items() if "_slot_" in n)


def test_weights_without_a_value_are_named(trained, tmp_path, capfd):
    start_from(trained, tmp_path, "num_layers = 2")
    message = capfd.readouterr().err
    assert "variables loaded from" in message
    assert "; not loaded: transformer/block_001" in message and "was trained with another wir" in (
        message
    )


@pytest.mark.parametrize(
    "bindings, message",
    [
        (["d_model = 24"], "of another size or vocabulary: "),
        (["tpu_estimator_model_fn.init_variable_filter = 'none'"], "has no variable of this model"),
        (["d_ff = 64"], "DenseReluDense/wo/kernel is [64, 16] and in the checkpoint [32, 16]; gi"),
        (["initial_weights.skip = ['nothing']"], "'nothing' is found in the name of no weight"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    trained, tmp_path, capfd, bindings, message
):
    with pytest.raises(SystemExit) as ended:
        start_from(trained, tmp_path, *bindings)
    assert ended.value.code == 2
    assert message in capfd.readouterr().err
    assert not list(tmp_path.glob("*.gin")) + list(tmp_path.glob("model.ckpt*"))


def test_a_checkpoint_is_a_path_or_the_latest_of_a_directory(trained, tmp_path, monkeypatch):
    latest = f"{trained}/model.ckpt-6"
    assert initial_weights.find_checkpoint(str(trained)) == latest
    assert initial_weights.find_checkpoint(f"{trained}/model.ckpt-3") == f"{trained}/model.ckpt-3"
    monkeypatch.setenv("HOME", str(trained.parent))
    assert initial_weights.find_checkpoint(f"~/{trained.name}") == latest
    for missing in (tmp_path, tmp_path / "none", f"{trained}/model.ckpt-4"):
        with pytest.raises(UsageError, match="init_checkpoint = .*there is no such checkpoint"):
            initial_weights.find_checkpoint(str(missing))
    gin.parse_config("initial_weights.checkpoint = 3")
    assert initial_weights.find_checkpoint(str(trained)) == f"{trained}/model.ckpt-3"
    with pytest.raises(UsageError, match="chooses one of a directory"):
        initial_weights.find_checkpoint(latest)
    gin.parse_config("initial_weights.checkpoint = 4")
    with pytest.raises(UsageError, match="no checkpoint of step 4 .* there are 0, 3, 6"):
        initial_weights.find_checkpoint(str(trained))


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = small_checkpoints.save(tmp_path, 1, {"x": np.zeros([2], np.float32)})
    for file in tmp_path.glob("model.ckpt-1.data*"):
        file.unlink()
    with pytest.raises(UsageError, match="incomplete or damaged"):
        initial_weights.find_checkpoint(path)


def test_a_missing_checkpoint_is_refused_before_the_graph_is_built(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("built")

    monkeypatch.setattr("primer.runtime.inputs.with_iterator", fail)
    with pytest.raises(SystemExit) as ended:
        start_from(tmp_path / "none", tmp_path / "new")
    assert ended.value.code == 2


def test_names_are_mapped_and_filtered_as_in_mesh_tf(tmp_path, monkeypatch):
    tiny.configure()
    values = {name: np.full([2], n, np.float32) for n, name in enumerate("abc", 1)}
    path = small_checkpoints.save(tmp_path, 5, values)
    utils = plan.utils
    monkeypatch.setattr(utils, "init_checkpoint_variable_mapping", lambda name: name.lower())
    monkeypatch.setattr(utils, "should_load_variable", lambda name: name != "B")
    chosen = plan.make(path, {name: [2] for name in "ABC"}, {})
    with tf.Graph().as_default(), tf.Session() as sess:
        weights = [tf.get_variable(name, initializer=[0.0, 0.0]) for name in "ABC"]
        initial = initial_weights.InitialWeights(chosen)
        sess.run(tf.global_variables_initializer())
        initial.load(sess)
        assert [value[0] for value in sess.run(weights)] == [1.0, 0.0, 3.0]
    assert (list(chosen.names), chosen.kept) == (["A", "C"], ["B"])
