"""`evaluate_checkpoints` with models that have memory."""

import gin
import numpy as np
import pytest

from primer.checkpoints import model_directory
from primer.errors import UsageError
from primer.evaluation import evaluate
from primer.runtime import model_function
from tests.evaluation import estimators, small_checkpoints
from tests.evaluation.memory import models

LINES = [f"{n} times {n} is {n * n}" for n in range(9)]


@pytest.fixture
def estimator(tmp_path):
    """It has the record of a training with a memory of five positions."""
    models.configure("llama", "memory_length = 5")
    made = estimators.make(tmp_path, LINES)
    record = model_function.of_estimator(made).description
    model_directory.write_record(str(made.model_dir), record)
    return made


def rows(estimator, *bindings, protocol="stream"):
    """The rows of the file after an evaluation of step 1 with these settings."""
    gin.parse_config([f"protocol.name = '{protocol}'", *bindings])
    made = estimators.of_directory(estimator.model_dir)
    evaluate.evaluate_checkpoints(made, split="train", checkpoints="1")
    return estimators.lines_of(made)


def test_an_evaluation_chooses_its_own_memory(estimator, capsys):
    (trained,) = rows(estimator)
    _, longer = rows(estimator, "memory_length_eval = 9")
    assert trained["configuration"] != longer["configuration"] and trained["nats"] != longer["nats"]
    assert "(memory_length_eval = 5)" in trained["how"] and "as trained" not in trained["how"]
    seen = "memory from window to window: each token of a layer sees its window so far and 9"
    assert seen in longer["how"]
    assert longer["not_as_trained"].endswith("recurrence evaluate memory_length 5 -> 9")
    capsys.readouterr()
    assert len(rows(estimator, "memory_length_eval = 5")) == 2
    assert "1 of 1 results were known" in capsys.readouterr().err
    same = rows(estimator, "segment_length_eval = 4", "same_length_eval = True")[-1]
    assert "sees the last 5 positions" in same["how"] and same["nats"] != trained["nats"]


def test_another_memory_in_training_is_another_model_where_it_is_none(estimator):
    gin.parse_config("memory_length = None")
    made = estimators.of_directory(estimator.model_dir)
    with pytest.raises(UsageError, match="trained with another wiring: .*recurrence"):
        evaluate.evaluate_checkpoints(made, split="train", checkpoints="1")


def test_the_columns_of_transformer_xl_stand_beside_the_number(estimator):
    settings = ["protocol.columns = 4", "segment_length_eval = 6"]
    (row,) = rows(estimator, *settings, protocol="transformer_xl")
    number = sum(len(line) + 1 for line in LINES)
    assert row["tokens"] == number - 4 - number % 4 and row["protocol"] == "transformer_xl_4"
    assert row["window"] == 6 and row["characters"] == row["tokens"]
    assert "4 columns" in row["how"] and "tgt_len 6, mem_len 5, ext_len 0" in row["how"]
    assert row["bits_per_character"] == pytest.approx(row["nats_per_token"] / np.log(2))


def test_released_rows_begin_with_empty_memory(estimator):
    settings = ["utils.run.batch_size = 2", "utils.run.sequence_length = {'targets': 16}"]
    (row,) = rows(estimator, *settings, protocol="as_released")
    assert row["how"].endswith("Every row begins with empty memory.")


def test_memory_of_training_in_a_checkpoint_is_not_read(estimator):
    (before,) = rows(estimator)
    values = small_checkpoints.load(estimator.model_dir / "model.ckpt-1")
    memory = np.full([3, 5, 16], np.nan, np.float32)
    small_checkpoints.save(estimator.model_dir, 1, {**values, "carried_state/layer_000": memory})
    _, after = rows(estimator)
    assert after["weights"] != before["weights"] and after["nats"] == before["nats"]


def test_sliding_is_refused_before_the_text_is_read(estimator):
    with pytest.raises(UsageError, match="protocol.name = 'sliding' .* has memory"):
        rows(estimator, "protocol.stride = 4", protocol="sliding")
