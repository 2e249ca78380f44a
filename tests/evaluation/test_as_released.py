"""The protocol `as_released` against what Mesh-TensorFlow's own evaluation computes of its rows."""

import gin
import numpy as np
import pytest

import primer.data.tasks  # noqa: F401
from primer.errors import UsageError
from primer.evaluation import as_released, protocols
from tests import gin_models, slow
from tests.evaluation import tiny

ROWS, STEPS = 4, 2


@pytest.fixture
def own_text(tmp_path):
    """A function: a model of gin, on a small text in bytes under T5's objective."""
    lines = [f"line {n}: {n} times {n} is {n * n}" for n in range(40)]
    (tmp_path / "own.txt").write_text("\n".join(lines))

    def use(overlay=None, steps=STEPS):
        settings = [
            f"text_files.glob = '{tmp_path}/own.txt'",
            "text_files.unit = 'line'",
            "text_files.held_out = 0.0",
            "task_vocabulary.name = 'bytes'",
            f"utils.run.batch_size = {ROWS}",
            f"utils.run.sequence_length = {{'inputs': 1, 'targets': {tiny.LENGTH}}}",
            f"utils.run.perplexity_eval_steps = {steps}",
        ]
        files = [*gin_models.files("transformer", overlay=overlay), "objectives/lm.gin"]
        gin_models.parse(files, settings)

    return use


def stock_rows():
    """All rows as t5 gives them to `perplexity_eval`, [rows, length]."""
    from t5.models import mesh_transformer
    from tensorflow.python.eager import context

    (found,) = mesh_transformer.mesh_eval_dataset_fn(
        "text", {"inputs": 1, "targets": tiny.LENGTH}, "train"
    )
    with context.eager_mode():
        examples = list(found.dataset_fn().as_numpy_iterator())
    return np.array([example["targets"] for example in examples])


def stock_mean(directory, rows):
    """(checkpoint, mean of -log p over tokens), as the released model function computes them."""
    path, nats = None, []
    for start in range(0, len(rows), ROWS):
        batch = np.zeros([ROWS, tiny.LENGTH], np.int32)
        batch[: len(rows) - start] = rows[start : start + ROWS]
        path, logits = tiny.save_and_logits(directory, batch, 1 if path else 2, weights=path)
        logits = logits.reshape(ROWS, tiny.LENGTH, -1).astype(np.float64)
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        nats.append(-np.take_along_axis(log_p, batch[..., None], -1)[..., 0][batch > 0])
    return path, np.concatenate(nats).mean()


@pytest.mark.slow
@pytest.mark.parametrize("overlay", slow.all_but(["switch"], [None, "switch"]))
def test_equals_the_released_computation(own_text, tmp_path, overlay):
    own_text(overlay)
    gin.parse_config("capacity_factor_eval = 0.5")
    rows = stock_rows()
    assert len(rows) > STEPS * ROWS and rows.shape[1] == tiny.LENGTH
    rows = rows[: STEPS * ROWS]
    path, expected = stock_mean(tmp_path, rows)
    protocol = protocols.Protocol("as_released")
    text = protocol.read_split("text", "train", tiny.LENGTH)
    np.testing.assert_array_equal(text.ids, rows[rows > 0])
    scorer = tiny.scorer(as_released.rows_per_batch(), as_released=True)
    scorer.restore(path)
    found = protocol.evaluate(scorer, text)
    assert found.nats_per_token == pytest.approx(expected, rel=1e-5)
    assert (found.tokens, found.documents) == (np.count_nonzero(rows), len(rows))
    assert np.isnan(found.standard_error)  # Rows are no independent documents.
    assert found.bytes is None and found.words is None
    if overlay:  # Without dropping it is another number.
        exact = tiny.scorer(ROWS)
        exact.restore(path)
        assert protocol.evaluate(exact, text).nats_per_token != pytest.approx(expected, rel=1e-4)


def test_a_split_shorter_than_the_batches_is_read_to_its_end(own_text):
    own_text(steps=1000)
    rows = stock_rows()
    text = as_released.read_rows("text", "train", tiny.LENGTH)
    np.testing.assert_array_equal(text.ids, rows[rows > 0])
    assert "at most the first 1000 batches" in as_released.describe("train", tiny.LENGTH)


def test_settings_that_it_cannot_reproduce_are_refused(own_text):
    own_text()
    with pytest.raises(UsageError, match="--batch_size 8: .* batches of 4 rows"):
        as_released.rows_per_batch(8)
    gin.bind_parameter("utils.run.perplexity_eval_steps", 0)
    with pytest.raises(UsageError, match="perplexity_eval_steps = 0"):
        as_released.read_rows("text", "train", tiny.LENGTH)
    gin.bind_parameter("mesh_eval_dataset_fn.pack", True)
    with pytest.raises(UsageError, match="mesh_eval_dataset_fn.pack = True"):
        as_released.read_rows("text", "train", tiny.LENGTH)
