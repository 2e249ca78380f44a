"""Averages equal those of numpy, and contain no variable of the optimizer."""

import json
import shutil

import gin
import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow as tf
from mesh_tensorflow import optimize

from primer.checkpoints import averaging
from primer.errors import RunError, UsageError
from tests.command_lines import run
from tests.evaluation import small_checkpoints
from tests.runtime import tiny

SHAPES = {"a/kernel": [3, 4], "a/bias": [], "b_slot/kernel": [2]}
SLOTS = (
    *("a/kernel_slot_vr", "a/kernel_slot_vc", "a/bias_slot_v", "b_slot/kernel_slot_m"),
    *("a/kernel/adam_m", "a/kernel/adam_v", "a/bias_momentum_v"),
    "carried_state/layer_000",  # The memory that rows of training hand to each other.
)


def values(seed, **changes):
    random = np.random.default_rng(seed)
    made = {name: random.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    made |= {name: np.float32(seed) for name in SLOTS}
    return {**made, "global_step": np.int64(seed), **changes}


@pytest.fixture
def model_dir(tmp_path):
    for step in (10, 20, 30, 40):
        small_checkpoints.save(tmp_path / "run", step, values(step))
    (tmp_path / "run" / "config.gin").write_text("x = 1\n")
    (tmp_path / "run" / "primer.json").write_text("{}")
    (tmp_path / "run" / "vocabulary.txt").write_text("a\n")
    return tmp_path / "run"


def average(model_dir, *more, code=0):
    output = model_dir.parent / "out"
    assert run("average", "--model_dir", model_dir, "--output", output, *more) == code
    return output


def expected(*steps):
    made = [values(step) for step in steps]
    return {name: np.mean([m[name].astype(np.float64) for m in made], 0) for name in SHAPES}


def check(path, steps):
    found = small_checkpoints.load(path)
    assert set(found) == {*SHAPES, "global_step"}
    assert found["global_step"] == steps[-1] and found["global_step"].dtype == np.int64
    for name, mean in expected(*steps).items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], mean.astype(np.float32))


def test_the_last_checkpoints_are_averaged_without_the_optimizers_variables(model_dir, capsys):
    output = average(model_dir, "--last", 3)
    check(output / "model.ckpt-40", (20, 30, 40))
    assert {p.name for p in output.iterdir()} == {
        *("model.ckpt-40.index", "model.ckpt-40.data-00000-of-00001", "checkpoint"),
        *("config.gin", "primer.json", "vocabulary.txt", "averaged.json"),
    }
    mark = json.loads((output / "averaged.json").read_text())
    assert mark == {"model_dir": str(model_dir), "averages": {"40": [20, 30, 40]}}
    assert tf.train.latest_checkpoint(str(output)) == str(output / "model.ckpt-40")
    assert "the mean of steps 20, 30, 40" in capsys.readouterr().err


def test_chosen_steps_are_averaged(model_dir):
    check(average(model_dir, "--checkpoints", "10,40") / "model.ckpt-40", (10, 40))


def test_each_position_of_a_sliding_window_gives_a_checkpoint(model_dir):
    output = average(model_dir, "--checkpoints", "all", "--window", 2)
    for steps in ((10, 20), (20, 30), (30, 40)):
        check(output / f"model.ckpt-{steps[-1]}", steps)
    assert not (output / "model.ckpt-10.index").exists()
    state = tf.train.get_checkpoint_state(str(output))
    assert len(state.all_model_checkpoint_paths) == 3


def test_sums_are_more_precise_than_float32(tmp_path):
    parts = [np.float32(1), *[np.float32(2**-24)] * 3]  # In float32, 1 + 2**-24 is 1.
    for step, part in enumerate(parts):
        small_checkpoints.save(tmp_path / "run", step, {"x": part})
    output = average(tmp_path / "run", "--last", 4)
    assert small_checkpoints.load(output / "model.ckpt-3")["x"] == np.float32(
        (1 + 3 * 2.0**-24) / 4
    )


def test_averages_of_bfloat16_are_bfloat16(tmp_path):
    for step in (1, 2):
        value = np.array([1.0, step]).astype(tf.bfloat16.as_numpy_dtype)
        small_checkpoints.save(tmp_path / "run", step, {"x": value})
    found = small_checkpoints.load(average(tmp_path / "run", "--last", 2) / "model.ckpt-2")["x"]
    assert found.dtype == value.dtype and found.astype(np.float32).tolist() == [1.0, 1.5]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"a/bias": np.zeros([2], np.float32)}, r"a/bias is \[\] float32 in .*10 and \[2\]"),
        ({"c": np.float32(1), "c_slot_v": np.float32(1)}, "c is not in .*10 and .* in .*20"),
        ({"a/bias": np.float64(1)}, "float32 in .* float64 in"),
    ],
)
def test_checkpoints_with_different_variables_are_refused(model_dir, change, message):
    small_checkpoints.save(model_dir, 20, values(20, **change))
    with pytest.raises(UsageError, match=message):
        averaging.write_averages(
            str(model_dir), [paths(model_dir, 10, 20)], str(model_dir.parent / "out")
        )
    assert not list(model_dir.parent.glob("out*"))


def paths(model_dir, *steps):
    return [f"{model_dir}/model.ckpt-{step}" for step in steps]


def test_weights_that_are_nan_are_refused(model_dir):
    small_checkpoints.save(model_dir, 20, values(20, **{"a/bias": np.float32(np.nan)}))
    with pytest.raises(
        RunError, match="a/bias is NaN or infinite in .*model.ckpt-20: name another"
    ):
        averaging.write_averages(
            str(model_dir), [paths(model_dir, 10, 20)], str(model_dir.parent / "out")
        )
    assert not list(model_dir.parent.glob("out*"))


@pytest.mark.parametrize("left", ["", "half"])
def test_a_damaged_checkpoint_leaves_no_output(model_dir, left, capsys):
    (data,) = model_dir.glob("model.ckpt-30.data-*")
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2 if left else 0])
    if not left:
        data.unlink()
    average(model_dir, "--last", 3, code=1)
    said = capsys.readouterr().err
    assert "model.ckpt-30" in said
    assert "model.ckpt-40" not in said
    assert [path.name for path in model_dir.parent.iterdir()] == ["run"]


def test_an_existing_output_is_refused_and_not_changed(model_dir, capsys):
    (model_dir.parent / "out").mkdir()
    average(model_dir, "--last", 2, code=2)
    assert "exists already" in capsys.readouterr().err
    assert not list((model_dir.parent / "out").iterdir())


@pytest.mark.parametrize(
    "words, message",
    [
        (["--last", 5], "has 4 checkpoints (10, 20, 30, 40)"),
        (["--last", 1], "expected at least 2"),
        (["--checkpoints", "10"], "one checkpoint"),
        (["--checkpoints", "best"], "one checkpoint has no mean"),
        (["--checkpoints", "10,11"], "no checkpoint of step 11"),
        (["--last", 3, "--window", 4], "--window = 4: expected at least 2, and at most the 3"),
        (["--last", 3, "--window", 1], "--window = 1"),
        (["--last", 3, "--checkpoints", "all"], "not allowed with"),
        ([], "is required"),
    ],
)
def test_misuse_is_one_line(model_dir, words, message, capsys):
    average(model_dir, *words, code=2)
    assert message in capsys.readouterr().err
    assert not list(model_dir.parent.glob("out*"))


def test_a_directory_without_checkpoints_is_one_line(tmp_path, capsys):
    average(tmp_path / "nowhere", "--last", 2, code=2)
    assert "has no checkpoint" in capsys.readouterr().err


@gin.configurable
class VelocityOptimizer(optimize.Optimizer):
    """Momentum with variables of a name that no optimizer of Mesh-TF gives."""

    def __init__(self, learning_rate):
        self._learning_rate = learning_rate

    def apply_grad(self, grad, var):
        velocity = mtf.get_variable(
            var.mesh,
            f"{var.name}/velocity_x",
            var.shape,
            dtype=var.dtype,
            initializer=tf.zeros_initializer(),
            trainable=False,
        )
        new = velocity * 0.9 + grad
        return [mtf.assign(velocity, new), mtf.assign_sub(var, self._learning_rate * new)]


@pytest.fixture(scope="module")
def velocity_run(tmp_path_factory):
    """A run of two steps with the optimizer."""
    folder = tmp_path_factory.mktemp("velocity") / "run"
    tiny.run(
        folder,
        "utils.run.optimizer = @VelocityOptimizer",
        "utils.run.train_steps = 2",
        "utils.run.save_checkpoints_steps = 1",
    )
    return folder


def test_variables_of_any_optimizer_are_left_out_as_training_recorded_them(velocity_run, tmp_path):
    model_dir = shutil.copytree(velocity_run, tmp_path / "run")
    before, after = tiny.variables(model_dir, 1), tiny.variables(model_dir, 2)
    weights = {name for name in after if "velocity_x" not in name} - {"global_step"}
    recorded = json.loads((model_dir / "primer.json").read_text())["variables"]
    assert recorded == {
        "weights": sorted(weights),
        "optimizer": sorted(f"{name}/velocity_x" for name in weights),
    }
    output = average(model_dir, "--last", 2)
    found = tiny.variables(output, 2)
    assert found.keys() == weights | {"global_step"}
    for name in weights:
        mean = (before[name].astype(np.float64) + after[name]) / 2
        np.testing.assert_array_equal(found[name], mean.astype(np.float32))
    assert json.loads((output / "primer.json").read_text())["variables"] == recorded


def test_without_a_record_unknown_optimizer_variables_are_refused(velocity_run, tmp_path, capsys):
    model_dir = shutil.copytree(velocity_run, tmp_path / "run")
    (model_dir / "primer.json").unlink()
    output = average(model_dir, "--last", 2, code=2)
    (line,) = [ln for ln in capsys.readouterr().err.splitlines() if ln.startswith("primer: ")]
    assert "velocity_x" in line and "continue its training for one step" in line
    assert not output.exists()
