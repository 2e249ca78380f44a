"""`evaluate_checkpoints` and its scorer, with an estimator of a tiny model."""

import json
import types

import gin
import numpy as np
import pytest
import t5.models  # noqa: F401  Registers mesh_train_dataset_fn.

from primer.data import preflight
from primer.errors import RunError, UsageError
from primer.evaluation import evaluate, sharing
from primer.evaluation.protocols import Protocol
from primer.evaluation.tokenized_split import read_split
from tests.evaluation import tiny

LINES = [f"{n} times {n} is {n * n}" for n in range(9)]


@pytest.fixture
def estimator(tmp_path):
    """What `utils.run` passes: a model of gin, its settings, and a directory of two checkpoints."""
    (tmp_path / "own.txt").write_text("\n".join(LINES))
    tiny.configure("transformer", "relu")
    settings = ["text_files.unit = 'line'", "text_files.held_out = 0.0"]
    settings += [f"text_files.glob = '{tmp_path}/own.txt'", "task_vocabulary.name = 'bytes'"]
    settings += ["mesh_train_dataset_fn.mixture_or_task_name = 'text'"]
    gin.parse_config(settings)
    model_dir = tmp_path / "run"
    model_dir.mkdir()
    ids = np.full([1, tiny.LENGTH], 5)
    for step, scale in ((1, 1.0), (2, 0.0)):
        tiny.save_and_logits(model_dir, ids, scale, step)
    return types.SimpleNamespace(
        model_dir=model_dir,
        model=tiny.model(),
        settings={
            "sequence_length": {"targets": tiny.LENGTH},
            "vocabulary": preflight.find_task("text").output_features["targets"].vocabulary,
            "mesh_shape": "",
            "layout_rules": "",
        },
    )


def lines_of(estimator):
    (path,) = (estimator.model_dir / "eval").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


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


def test_a_tpu_is_refused(estimator):
    estimator.settings["use_tpu"] = True
    with pytest.raises(UsageError, match="leave out --tpu"):
        evaluate.make_scorer(estimator)
