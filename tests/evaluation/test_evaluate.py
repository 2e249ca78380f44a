"""`evaluate_checkpoints` and its scorer, with an estimator of a tiny model."""

import pathlib

import gin
import numpy as np
import pytest
import t5.models  # noqa: F401  Registers mesh_train_dataset_fn.

from primer.checkpoints import model_directory
from primer.errors import RunError, UsageError
from primer.evaluation import evaluate, report, sharing
from primer.evaluation.protocols import Protocol
from primer.evaluation.tokenized_split import read_split
from primer.runtime import model_function
from tests.evaluation import estimators, tiny

LINES = [f"{n} times {n} is {n * n}" for n in range(9)]


@pytest.fixture
def estimator(tmp_path):
    tiny.configure("transformer", "relu")
    return estimators.make(tmp_path, LINES)


lines_of = estimators.lines_of


def test_every_checkpoint_is_evaluated_on_the_whole_split(estimator, capsys):
    with sharing.shared_evaluation() as shared:
        evaluate.evaluate_checkpoints(estimator, "unused", split="train", unused=3)
    rows = lines_of(estimator)
    assert [row["step"] for row in rows] == [1, 2] == [row["step"] for row in shared.rows]
    scorer = evaluate.make_scorer(estimator)
    text = read_split("text", "train")
    for row in rows:
        scorer.restore(f"{estimator.model_dir}/model.ckpt-{row['step']}")
        assert row["nats"] == Protocol("stream").evaluate(scorer, text).nats
    assert rows[1]["nats_per_token"] == pytest.approx(np.log(tiny.PADDED), rel=1e-6)
    out = capsys.readouterr().out
    assert f"{estimator.model_dir}: text, train split" in out


def test_another_function_has_a_row_of_its_own(estimator, capsys):
    """Neither found for the plain command nor in place of its row."""
    evaluate.evaluate_checkpoints(estimator, split="train", checkpoints="1")
    gin.parse_config("sublayer_true_layer_norm.epsilon = 1.0")
    evaluate.evaluate_checkpoints(estimator, split="train", checkpoints="1")
    assert "were known" not in capsys.readouterr().err
    plain, other = lines_of(estimator)
    assert plain["configuration"] != other["configuration"] and plain["nats"] != other["nats"]
    gin.parse_config("sublayer_true_layer_norm.epsilon = 1e-6")
    evaluate.evaluate_checkpoints(estimator, split="train", checkpoints="1", again=True)
    assert lines_of(estimator)[2]["nats"] == plain["nats"]
    gin.parse_config("sublayer_true_layer_norm.epsilon = 1.0")
    evaluate.evaluate_checkpoints(estimator, split="train", checkpoints="1")
    assert "1 of 1 results were known" in capsys.readouterr().err
    assert len(lines_of(estimator)) == 3


def test_bfloat16_activations_are_marked_and_never_taken_for_float32(estimator, capsys):
    """Close to float32, in a row, a line and a curve of their own; the best is that of float32."""
    for dtype in ("float32", "bfloat16", "float32", "bfloat16"):
        evaluate.evaluate_checkpoints(
            estimator, split="train", checkpoints="1", activation_dtype=dtype
        )
    plain, other = lines_of(estimator)  # Each was scored once.
    assert (plain["activation_dtype"], other["activation_dtype"]) == ("float32", "bfloat16")
    assert plain["configuration"] != other["configuration"]
    assert plain["nats"] != other["nats"] == pytest.approx(plain["nats"], rel=5e-3)
    assert other["how"].endswith("Activations are bfloat16.") and "float" not in plain["how"]
    printed = capsys.readouterr()
    assert "(bfloat16 activations)" in printed.err
    assert "Activations are bfloat16." in printed.out.replace("\n", " ")
    curves = (pathlib.Path(estimator.model_dir) / "eval").glob("*/events*")
    assert len({path.parent for path in curves}) == 2
    difference = report.find_difference([{**plain, "activation_dtype": "float32"}, other])
    assert difference == "the activations are float32 and bfloat16"
    del plain["activation_dtype"]  # A line of an older version.
    assert report.find_difference([plain, other]) == difference
    with pytest.raises(UsageError, match="the best checkpoint is that of float32"):
        evaluate.evaluate_checkpoints(estimator, keep_the_best=True, activation_dtype="bfloat16")
    with pytest.raises(
        UsageError, match="activation_dtype = 'half': expected one of float32, bfloat16"
    ):
        evaluate.evaluate_checkpoints(estimator, activation_dtype="half")


def test_a_function_that_is_not_the_one_trained_is_named_beside_its_number(estimator, capsys):
    record = model_function.of_estimator(estimator).description
    model_directory.write_record(str(estimator.model_dir), record)
    for binding in ("dropout_rate = 0.5", "sublayer_true_layer_norm.epsilon = 1.0"):
        gin.parse_config(binding)
        evaluate.evaluate_checkpoints(estimator, split="train", checkpoints="1")
    plain, other = lines_of(estimator)
    difference = "sublayer_true_layer_norm.epsilon 1e-06 -> 1.0"
    assert (plain["not_as_trained"], other["not_as_trained"]) == ("", difference)
    assert "as trained" not in plain["how"]
    assert other["how"].endswith(f"Not the model as trained: {difference}.")
    printed = capsys.readouterr()
    said = f"{estimator.model_dir} was trained with other settings of its model: {difference}"
    assert said in printed.err
    assert f"({difference})" in printed.err and difference in printed.out.replace("\n", " ")
    # TensorBoard draws it as another curve.
    folders = {path.parent.name for path in (estimator.model_dir / "eval").glob("*/events*")}
    name = "text_train_stream"
    assert folders == {name, f"{name}_{other['configuration']}"}


def test_texts_of_the_same_tokens_and_other_words_have_rows_of_their_own(estimator):
    words = estimator.model_dir / "words.txt"
    words.write_text("is\n")
    gin.parse_config(f"task_vocabulary.name = 'words'\ntask_vocabulary.model_file = '{words}'")
    own = estimator.model_dir.parent / "own.txt"
    found = []
    for text in ("one is\n", "three is\n"):
        own.write_text(text)
        found.append(read_split("text", "train"))
    assert found[0].checksum == found[1].checksum
    assert found[0].counts_checksum != found[1].counts_checksum


def experts(estimator, *bindings):
    """The estimator with a model of experts."""
    gin.clear_config()
    tiny.configure("transformer", "relu")
    gin.parse_config_file("architectures/switch.gin")
    gin.parse_config(["num_switch_blocks = 1", "num_experts = 4", "utils.run.batch_size = 2"])
    gin.parse_config([f"utils.run.sequence_length = {tiny.LENGTH}", *bindings])
    estimator.model = tiny.model()
    return estimator


def test_the_batch_is_part_of_a_number_that_depends_on_it(estimator):
    """Only then: --batch_size changes the speed of an exact evaluation and not its numbers."""
    exact = [evaluate.configuration_of(experts(estimator), rows) for rows in (None, 4, 8)]
    assert len(set(exact)) == 1
    choice = "expert_gating = 'expert_choice'"
    chosen = [evaluate.configuration_of(experts(estimator, choice), rows) for rows in (None, 4, 8)]
    assert len({*chosen, *exact}) == 4
    released = ["protocol.name = 'as_released'"]
    more = ["utils.run.batch_size = 4", "capacity_factor_eval = 0.1"]
    found = [
        evaluate.configuration_of(experts(estimator, *released, *own))
        for own in ([], more[:1], more[1:])
    ]
    assert len({*found, *exact}) == 4


def test_directories_share_a_scorer_if_their_models_compute_the_same(estimator, monkeypatch):
    made = []

    class Closable:
        def __init__(self, *arguments, **settings):
            made.append(arguments)

        def close(self):
            pass

    monkeypatch.setattr(evaluate, "Scorer", Closable)

    def open_scorer(*bindings, rows=None):
        tiny.configure("transformer", "relu")
        gin.parse_config(bindings)
        estimator.model = tiny.model()
        configuration = evaluate.configuration_of(estimator, rows)
        with evaluate._open_scorer(estimator, rows, configuration) as scorer:
            return scorer

    with sharing.shared_evaluation():
        first = open_scorer()
        same = ["run_seed.seed = 7", "utils.run.train_steps = 9", "dropout_rate = 0.5"]
        assert open_scorer(*same, "num_experts = 4") is first and len(made) == 1
        gin.clear_config()
        others = ["sublayer_true_layer_norm.epsilon = 0.5", "d_ff = 48", "activation = ['gelu']"]
        for number, binding in enumerate(others, 2):
            open_scorer(binding)
            assert len(made) == number
            gin.clear_config()
        open_scorer(rows=4)
        assert len(made) == len(others) + 2


def test_known_results_are_reused_and_damaged_checkpoints_end_in_an_error(estimator, capsys):
    evaluate.evaluate_checkpoints(estimator, split="train", checkpoints="2")
    for path in estimator.model_dir.glob("model.ckpt-1.data*"):
        path.write_bytes(b"")
    with pytest.raises(RunError, match="1 of 2 checkpoints could not be evaluated: step 1: "):
        evaluate.evaluate_checkpoints(estimator, split="train")
    assert "1 of 1 results were known" in capsys.readouterr().err
    assert len(lines_of(estimator)) == 1


def test_a_scorer_has_the_length_and_rows_of_the_settings(estimator):
    scorer = evaluate.make_scorer(estimator, 3)
    assert (scorer.length, scorer.rows) == (tiny.LENGTH, 3)
    scorer.close()
    gin.bind_parameter("protocol.name", "as_released")
    gin.parse_config(f"utils.run.batch_size = 2\nutils.run.sequence_length = {tiny.LENGTH}")
    scorer = evaluate.make_scorer(estimator)
    assert scorer.rows == 2
    scorer.close()


def test_an_unknown_order_is_refused_before_any_scoring(estimator):
    with pytest.raises(UsageError, match=r"evaluate_checkpoints.order_by = 'size': expected one"):
        evaluate.evaluate_checkpoints(estimator, order_by="size")
    assert evaluate.read_results(str(estimator.model_dir), "validation").rows == []


def test_a_tpu_is_refused(estimator):
    estimator.settings["use_tpu"] = True
    with pytest.raises(UsageError, match="leave out --tpu"):
        evaluate.make_scorer(estimator)
