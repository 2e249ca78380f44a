"""The modes of `utils.run` and t5's MtfModel through the local estimator."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import utils

from primer.errors import UsageError
from tests import gin_models
from tests.runtime import tiny

VALIDATION = "utils.run.dataset_split = 'validation'"


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
    """8 examples fill batches of 4 and not of 3; metrics see the text of the targets."""
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


def test_scores_do_not_depend_on_the_batch_size(trained, tmp_path):
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


def test_evaluation_without_a_checkpoint_is_an_error(tmp_path):
    tiny.configure()
    estimator = utils.get_estimator(**tiny.estimator_settings(tmp_path))
    with pytest.raises(UsageError, match="has no checkpoint"):
        estimator.evaluate(lambda params: None)


def test_mtf_model_trains_and_predicts(tmp_path):
    tiny.configure()
    model = tiny.mtf_model_of(tmp_path)
    model.train(tiny.TASK, steps=2)
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith("model.ckpt-2")
    assert tiny.predicted(model, tmp_path)


def test_predictions_come_in_batches_on_request(trained):
    tiny.configure()
    lengths = {"inputs": 32, "targets": 32}
    settings = {**tiny.estimator_settings(trained), "sequence_length": lengths}
    estimator = utils.get_estimator(**settings)
    prompts = np.zeros([8, 32], np.int32)
    prompts[:, :4] = np.random.default_rng(0).integers(3, 259, [8, 4])

    def input_fn(params):
        return tf.data.Dataset.from_tensor_slices({"inputs": prompts}).batch(4, drop_remainder=True)

    singles = list(estimator.predict(input_fn))
    batches = list(estimator.predict(input_fn, yield_single_examples=False))
    assert len(singles) == 8 and len(batches) == 2
    for key, value in singles[5].items():
        np.testing.assert_array_equal(value, batches[1][key][1])


def test_variables_are_read_from_the_newest_checkpoint(trained):
    tiny.configure()
    estimator = utils.get_estimator(**tiny.estimator_settings(trained))
    expected = tiny.variables(trained, 6)
    assert set(estimator.get_variable_names()) == set(expected)
    assert estimator.get_variable_value("global_step") == 6


def model_of(composition):
    """The gin text of a composition with the fewest blocks, one with experts."""
    architecture, overlay = composition
    lines = [f'include "{name}"' for name in gin_models.files(architecture, overlay=overlay)]
    lines += gin_models.fewest_block_bindings(architecture, overlay)
    if overlay:
        lines.append("block = [%attention, %experts]")
    return "\n".join(lines)


ALL = gin_models.run_compositions()


# Graphs of prediction are those of decoding, which other tests compare for every composition.
@pytest.mark.parametrize("composition", gin_models.as_params(ALL[-1::-4], lambda c: c == ALL[-1]))
def test_mtf_model_predicts_and_infer_writes(composition, tmp_path):
    model = model_of(composition)
    tiny.configure(model=model)
    trained = tiny.mtf_model_of(tmp_path)
    trained.train(tiny.TASK, steps=1)
    assert tiny.predicted(trained, tmp_path)
    written = tmp_path / "written.txt"
    tiny.run(
        tmp_path,
        "utils.run.mode = 'infer'",
        "utils.run.eval_checkpoint_step = 1",
        "infer_model.decode_fn = @decode_from_file",
        f"decode_from_file.input_filename = '{tmp_path / 'prompts.txt'}'",
        f"decode_from_file.output_filename = '{written}'",
        "utils.run.sequence_length = {'inputs': 32, 'targets': 32}",
        model=model,
    )
    assert list(tmp_path.glob("written.txt*"))[0].read_bytes()
