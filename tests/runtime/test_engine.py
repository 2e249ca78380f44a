"""Every mode of `utils.run`, and t5's MtfModel, through the local estimator."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from mesh_tensorflow.transformer import utils

from primer.errors import UsageError
from tests.command_lines import ENGINE
from tests.runtime import tiny

VALIDATION = "utils.run.dataset_split = 'validation'"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("trained")
    tiny.run(model_dir)
    return model_dir


def test_perplexity_eval_of_all_checkpoints(trained):
    tiny.run(
        trained,
        VALIDATION,
        "utils.run.mode = 'perplexity_eval'",
        "utils.run.eval_checkpoint_step = 'all'",
        "utils.run.perplexity_eval_steps = 5",
    )
    scalars = tiny.scalars(trained / f"eval_{tiny.TASK}_validation_20")
    assert {"neg_log_perplexity", "loss", "token_accuracy", "num_eval_tokens"} <= set(scalars)
    nats = scalars["neg_log_perplexity"]
    assert sorted(nats) == [3, 6]  # Mesh-TF leaves step 0 out of "all".
    assert -np.log(384) < nats[3] < nats[6] < 0


def evaluate(model_dir, step):
    tiny.run(
        model_dir,
        VALIDATION,
        "utils.run.mode = 'perplexity_eval'",
        f"utils.run.eval_checkpoint_step = {step!r}",
        "utils.run.perplexity_eval_steps = 2",
    )


@pytest.mark.parametrize("step", ["all", 6, [3, 6]])
def test_perplexity_eval_without_a_checkpoint_is_one_line(tmp_path, step, capsys):
    with pytest.raises(SystemExit) as ended:
        evaluate(tmp_path / "none", step)
    assert ended.value.code == 2
    assert "/none' has no checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_all_leaves_out_step_0(tmp_path, capsys):
    tiny.run(tmp_path, "utils.run.train_steps = 1")
    for path in tmp_path.glob("model.ckpt-1.*"):
        path.unlink()
    with pytest.raises(SystemExit):
        evaluate(tmp_path, "all")
    assert "only the checkpoint of step 0" in capsys.readouterr().err


def test_the_nearest_checkpoint_is_named_as_that(trained, capsys):
    evaluate(trained, 5)
    said = capsys.readouterr().err
    assert "no checkpoint of step 5, and the nearest is used instead; there are 0, 3, 6" in said


def test_infer_from_a_file(trained, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("line 1\nline 2\n")
    output = tmp_path / "out.txt"
    tiny.run(
        trained,
        "utils.run.mode = 'infer'",
        "utils.run.eval_checkpoint_step = -1",
        "infer_model.decode_fn = @decode_from_file",
        f"decode_from_file.input_filename = '{prompts}'",
        f"decode_from_file.output_filename = '{output}'",
        "utils.run.sequence_length = {'inputs': 32, 'targets': 32}",
    )
    written = list(tmp_path.glob("out.txt*"))
    assert written and len(written[0].read_text(errors="replace").split("\n")) >= 2


INFERENCE = (
    "mesh_inference_dataset_fn.mixture_or_task_name = %MIXTURE_NAME",
    "mesh_inference_dataset_fn.priming_sequence_length = 4",
    "mesh_inference_dataset_fn.num_inference_examples = 8",
    "utils.run.eval_checkpoint_step = 6",
)
INFERENCE_FN = "@t5.models.mesh_transformer.mesh_inference_dataset_fn"


def test_infer_from_a_task(trained, tmp_path):
    tiny.run(
        trained,
        *INFERENCE,
        "mesh_inference_dataset_fn.dataset_split = 'validation'",
        "utils.run.mode = 'infer'",
        "utils.run.sequence_length = {'inputs': 4, 'targets': 32}",
        "infer_model.decode_fn = @decode_from_dataset",
        f"decode_from_dataset.decode_output_dir = '{tmp_path}'",
        "decode_from_dataset.dataset_split = 'validation'",
        f"decode_from_dataset.infer_dataset_fn = {INFERENCE_FN}",
    )
    assert any(path.name.endswith("predictions") for path in tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["eval", "score_eval"])
@pytest.mark.parametrize("batch", [4, 3])
def test_eval_of_a_language_model_task_with_inputs(trained, tmp_path, mode, batch):
    """Of 8 examples, which fill batches or do not; metrics see the text of the targets."""
    tiny.run(
        trained,
        *INFERENCE,
        VALIDATION,
        f"utils.run.mode = '{mode}'",
        "utils.run.sequence_length = {'inputs': 4, 'targets': 32}",
        f"utils.run.eval_dataset_fn = {INFERENCE_FN}",
        f"utils.run.eval_summary_dir = '{tmp_path}'",
        f"utils.run.batch_size = {batch}",
    )
    scalars = tiny.scalars(tmp_path)
    assert scalars[f"eval/{tiny.TASK}/count"] == {6: 8.0}
    assert scalars[f"eval/{tiny.TASK}/texts"] == {6: 8.0}


def test_score_from_dataset_agrees_with_itself_in_another_batch(trained, tmp_path):
    def scores(batch):
        name = tmp_path / f"scores_{batch}"
        tiny.run(
            trained,
            "utils.run.mode = 'score_from_dataset'",
            f"utils.run.batch_size = {batch}",
            "utils.run.eval_checkpoint_step = 6",
            "score_from_dataset.score_dataset_fn = @mesh_eval_dataset_fn",
            f"save_scores.scores_filename = '{name}'",
            "score_from_dataset.score_postprocess_fn = @save_scores",
            VALIDATION,
        )
        (path,) = tmp_path.glob(f"scores_{batch}*.scores")
        return np.array([float(line) for line in path.read_text().split()])

    four, six = scores(4), scores(6)
    np.testing.assert_allclose(four, six, rtol=1e-4)
    assert (four < 0).all() and len(four) > 10


def test_score_from_strings(trained, tmp_path):
    targets = tmp_path / "targets.txt"
    targets.write_text("line 1\nline 2: 2\n")
    tiny.run(
        trained,
        "utils.run.mode = 'score_from_strings'",
        "utils.run.eval_checkpoint_step = 6",
        "score_from_strings.inputs = None",
        "score_from_strings.score_postprocess_fn = @save_scores",
        f"score_from_strings.targets = '{targets}'",
        f"save_scores.scores_filename = '{tmp_path / 'strings'}'",
    )
    (path,) = tmp_path.glob("strings*.scores")
    short, long = (float(line) for line in path.read_text().split())
    assert long < short < 0


@pytest.mark.parametrize("mode", ["export_score", "export_infer"])
def test_exported_models_load_and_run(trained, tmp_path, mode):
    tiny.run(
        trained,
        f"utils.run.mode = '{mode}'",
        f"utils.run.export_path = '{tmp_path}'",
        "utils.run.batch_size = 2",
        "utils.run.sequence_length = {'inputs': 32, 'targets': 32}",
    )
    (directory,) = [p for p in tmp_path.iterdir() if (p / "saved_model.pb").exists()]
    with tf.Graph().as_default(), tf.compat.v1.Session() as sess:
        meta = tf.compat.v1.saved_model.load(sess, ["serve"], str(directory))
        signature = meta.signature_def["serving_default"]
        (feed,) = [info.name for info in signature.inputs.values()]
        fetch = {key: info.name for key, info in signature.outputs.items()}
        values = sess.run(fetch, {feed: ["line 3", "line 4"]})
    assert len(next(iter(values.values()))) == 2
    if mode == "export_score":
        assert (values["scores"] < 0).all()


def test_mtf_model_trains_evaluates_and_predicts(tmp_path):
    tiny.configure()
    model = tiny.mtf_model_of(tmp_path)
    model.train(tiny.TASK, steps=2)
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith("model.ckpt-2")
    assert tiny.predicted(model, tmp_path)


def test_a_checkpoint_with_bfloat16_weights_is_cast(trained, tmp_path):
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


def test_no_checkpoint_is_one_line(tmp_path):
    tiny.configure()
    estimator = utils.get_estimator(**tiny.estimator_settings(tmp_path))
    with pytest.raises(UsageError, match="has no checkpoint"):
        estimator.evaluate(lambda params: None)


def test_a_wrong_setting_with_the_model_api_is_one_line(tmp_path):
    words = [
        *("--use_model_api", "--mode=train", "--train_steps=1", f"--model_dir={tmp_path}"),
        *("--module_import=t5_imports", "--mixture_or_task=sotu"),
        *("--gin_file=models/defaults.gin", "--gin_file=models/small_primer.gin"),
        *("--gin_file=datasets/sotu.gin", "--gin_param=estimator.kind = 'remote'"),
    ]
    done = subprocess.run([sys.executable, "-c", ENGINE, *words], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("primer: ")]
    assert "estimator.kind = 'remote'" in line
    assert (tmp_path / "train.log").exists()
