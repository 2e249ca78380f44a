"""Training through the local estimator: files, events, resuming, seeds, early ends."""

import json
import os
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from primer import layers  # noqa: F401  (registers them with gin)
from primer.checkpoints.description import train_losses
from primer.runtime.training import loop
from primer.runtime.training.saving import checkpoint_writer
from tests.evaluation import small_checkpoints
from tests.runtime import tiny


def test_training_writes_the_files_of_the_estimator(trained):
    names = set(os.listdir(trained))
    assert {"checkpoint", "graph.pbtxt", "operative_config.gin", "train.log"} <= names
    for step in (0, 3, 6):
        assert f"model.ckpt-{step}.index" in names
    assert tf.train.latest_checkpoint(str(trained)).endswith("model.ckpt-6")


def test_the_written_graph_can_be_read(trained):
    graph = text_format.Parse((trained / "graph.pbtxt").read_text(), tf.compat.v1.GraphDef())
    assert {"VariableV2", "MatMul"} & {node.op for node in graph.node}
    assert all("_output_shapes" in node.attr for node in graph.node if node.op == "Identity")


def test_training_writes_the_tags_of_the_estimator(trained):
    scalars = tiny.scalars(trained)
    assert {"loss", "learning_rate"} <= set(scalars)
    assert scalars["loss"][1] == pytest.approx(np.log(384), rel=0.2)
    losses = train_losses.read(str(trained))
    assert losses.steps.tolist() == [1, 2, 3, 4, 5, 6]
    assert losses.losses[0] == pytest.approx(scalars["loss"][1], rel=1e-5)


def test_a_seed_determines_the_run(trained, tmp_path):
    tiny.run(tmp_path / "same")
    tiny.assert_equal_variables(tiny.variables(trained, 6), tiny.variables(tmp_path / "same", 6))
    tiny.run(tmp_path / "other", "run_seed.seed = 7")
    first, other = (tiny.variables(d, 0) for d in (trained, tmp_path / "other"))
    assert any(not np.array_equal(first[name], other[name]) for name in first)


class SignalAtStep:
    """A saving listener that sends SIGTERM to this process when a step is saved."""

    def __init__(self, step):
        self.step = step

    def before_save(self, sess, step):
        if step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)

    def after_save(self, sess, step):
        pass


def test_a_run_resumed_after_sigterm_equals_the_uninterrupted_run(trained, tmp_path, monkeypatch):
    stock = checkpoint_writer.CheckpointWriter.from_hooks.__func__

    def from_hooks(cls, *args):
        writer = stock(cls, *args)
        writer.listeners.append(SignalAtStep(3))
        return writer

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_writer.CheckpointWriter, "from_hooks", classmethod(from_hooks))
        with pytest.raises(SystemExit) as stopped:
            tiny.run(tmp_path)
    assert stopped.value.code == 128 + signal.SIGTERM
    reached = int(tf.train.latest_checkpoint(str(tmp_path)).rsplit("-", 1)[1])
    assert 3 <= reached < 6
    tiny.run(tmp_path)
    tiny.assert_equal_variables(tiny.variables(trained, 6), tiny.variables(tmp_path, 6))
    resumed, whole = (train_losses.read(str(d)) for d in (tmp_path, trained))
    assert resumed.steps.tolist() == whole.steps.tolist()
    assert resumed.losses.tolist() == whole.losses.tolist()


def test_a_finished_run_has_nothing_to_do(trained, capfd):
    tiny.run(trained)
    assert "nothing to do" in capfd.readouterr().err


def test_another_architecture_in_the_directory_is_an_error(trained):
    with pytest.raises(SystemExit) as ended:
        tiny.run(trained, "d_ff = 48", "utils.run.train_steps = 9")
    assert ended.value.code == 2


def test_primer_json_records_wiring_and_vocabulary(trained):
    record = json.loads((trained / "primer.json").read_text())
    assert record["wiring"]["layer_stack"] == "LayerStack"
    assert record["configuration"]["sublayer_rms_norm.epsilon"] == 1e-6
    assert record["vocabulary"]["size"] == 259


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path, capfd):
    with pytest.raises(SystemExit) as ended:
        tiny.run(tmp_path, "utils.run.learning_rate_schedule = 1e30")
    assert ended.value.code == 1
    message = capfd.readouterr().err
    for part in ("the loss is", "model.ckpt-0", "learning rate"):
        assert part in message


def test_a_damaged_latest_checkpoint_is_reported(trained, tmp_path, capfd):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.glob("model.ckpt-6.data*"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SystemExit) as ended:
        tiny.run(tmp_path, "utils.run.train_steps = 9")
    assert ended.value.code == 1
    assert "cannot be read" in capfd.readouterr().err
    for path in tmp_path.glob("model.ckpt-6*"):
        path.unlink()
    tiny.run(tmp_path)  # The message suggests it.
    assert "resuming at step 3" in capfd.readouterr().err
    tiny.assert_equal_variables(tiny.variables(trained, 6), tiny.variables(tmp_path, 6))


@pytest.mark.parametrize("kind", ["weight", "slot"])
def test_a_checkpoint_with_nan_is_not_trained_on(trained, tmp_path, capfd, kind):
    """Also one whose optimizer alone is spoiled."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    values = tiny.variables(tmp_path, 6)
    name = min(n for n in values if ("_slot_" in n) == (kind == "slot") and n != "global_step")
    values[name] = np.full_like(values[name], np.nan)
    for path in tmp_path.glob("model.ckpt-6.*"):
        path.unlink()
    small_checkpoints.save(tmp_path, 6, values)
    with pytest.raises(SystemExit) as ended:
        tiny.run(tmp_path, "utils.run.train_steps = 9")
    assert ended.value.code == 1
    message = capfd.readouterr().err
    for part in (f"{name} is NaN or infinite", "model.ckpt-3: name step 3", "delete model.ckpt-6"):
        assert part in message
    for path in tmp_path.glob("model.ckpt-6*"):
        path.unlink()
    tiny.run(tmp_path)  # The message suggests it.
    tiny.assert_equal_variables(tiny.variables(trained, 6), tiny.variables(tmp_path, 6))


def test_a_resumed_run_drops_the_events_that_it_writes_again(trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.glob("model.ckpt-6*"):
        path.unlink()
    tiny.run(tmp_path)
    assert tiny.dropped_from(tmp_path) == [1, 4]
    assert train_losses.read(str(tmp_path)).steps.tolist() == [1, 2, 3, 4, 5, 6]


def test_microbatches_train(tmp_path):
    tiny.run(tmp_path, "utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = 32")
    assert tiny.variables(tmp_path, 6)["global_step"] == 6


def test_the_replaced_hooks_exist():
    assert hasattr(tf.compat.v1.train, loop.REPLACED_HOOKS[0])
    assert hasattr(tf.compat.v1.data.experimental, loop.REPLACED_HOOKS[1])


def test_training_resumes_from_bfloat16_weights_in_float32(trained, tmp_path):
    values = tiny.variables(trained, 6)
    with tf.Graph().as_default(), tf.compat.v1.Session() as sess:
        for name, value in values.items():
            half = value.dtype == np.float32 and "slot" not in name
            tf.compat.v1.get_variable(
                name, initializer=tf.cast(value, tf.bfloat16 if half else value.dtype)
            )
        sess.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(sess, str(tmp_path / "model.ckpt"), global_step=6)
    tiny.run(tmp_path, "utils.run.train_steps = 7")
    after = tiny.variables(tmp_path, 7)
    assert {v.dtype for n, v in after.items() if n != "global_step"} == {np.dtype("float32")}


def test_the_new_variables_of_another_optimizer_are_named(trained, tmp_path, capfd):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    tiny.run(tmp_path, "utils.run.train_steps = 7")
    assert "start at their initial values" not in capfd.readouterr().err
    tiny.run(
        tmp_path, "utils.run.train_steps = 8", "utils.run.optimizer = @AdamWeightDecayOptimizer"
    )
    message = capfd.readouterr().err
    assert "variables of the optimizer AdamWeightDecayOptimizer are not in" in message
    assert "model.ckpt-7 and start at their initial values: " in message


EXPERTS = [
    "make_layer_stack.layers = [@SelfAttention, @MixtureOfExperts]",
    "MixtureOfExperts.num_experts = 4",
    "MixtureOfExperts.hidden_size = 16",
    "LayerStack.sublayers_final = [@sublayer_rms_norm]",
    "utils.run.train_steps = 1",
]


def test_a_resumed_run_trains_the_same_function(tmp_path, capfd):
    """Rates of dropout, noise and learning may change, and settings of evaluation."""
    tiny.run(tmp_path, *EXPERTS)
    changes = {
        "MixtureOfExperts.activation = 'gelu'": "experts activation 'relu' -> 'gelu'",
        "MixtureOfExperts.min_expert_capacity = 1": "gating min_expert_capacity 4 -> 1",
        "sublayer_rms_norm.epsilon = 1.0": "configuration: sublayer_rms_norm.epsilon 1e-06 -> 1.0",
        "Unitransformer.input_full_attention = True": "settings input_full_attention False -> True",
        "make_layer_stack.layer_stack_cls = @ReversibleLayerStack": "layer_stack 'LayerStack' -> ",
    }
    for change, message in changes.items():
        with pytest.raises(SystemExit) as ended:
            tiny.run(tmp_path, *EXPERTS, change, "utils.run.train_steps = 2")
        assert ended.value.code == 2
        assert message in capfd.readouterr().err
    tiny.run(
        tmp_path,
        *EXPERTS,
        "dropout_rate = 0.3",
        "MixtureOfExperts.switch_jitter = 0.5",
        "MixtureOfExperts.capacity_factor_train = 2.0",
        "MixtureOfExperts.capacity_factor_eval = 1.0",
        "utils.run.learning_rate_schedule = 0.001",
        "utils.run.train_steps = 2",
    )
    assert "resuming at step 1" in capfd.readouterr().err


def test_a_model_that_cannot_be_built_ends_the_run_before_the_input_is_read(
    tmp_path, monkeypatch, capfd
):
    read = []
    monkeypatch.setattr(loop.inputs, "with_iterator", read.append)
    bindings = ("get_vocab_embedding_cls.cls = @TokenEmbedding", "TokenEmbedding.logit_cap = 0.0")
    with pytest.raises(SystemExit):
        tiny.run(tmp_path, *bindings)
    assert "TokenEmbedding.logit_cap = 0.0: expected a number above 0" in capfd.readouterr().err
    assert not read
