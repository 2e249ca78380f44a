"""The scorer against numpy, over batch sizes, padding, segments and meshes."""

import numpy as np
import pytest

from primer.errors import RunError, UsageError
from tests.evaluation import tiny


def random_ids(rows, seed=0):
    return np.random.default_rng(seed).integers(3, tiny.VOCABULARY, [rows, tiny.LENGTH])


def log_softmax_nats(logits, ids):
    """-log softmax(logits)[ids] in float64."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return -np.take_along_axis(log_p, ids[..., None], -1)[..., 0]


@pytest.mark.parametrize(
    "architecture, activation",
    [("transformer", "relu"), ("primer", "squared_relu"), ("primer_ez", "squared_relu")],
)
def test_equals_numpy_on_the_logits(tmp_path, architecture, activation):
    tiny.configure(architecture, activation)
    ids = random_ids(4)
    path, logits = tiny.save_and_logits(tmp_path, ids)
    assert logits.shape == (4, tiny.LENGTH, tiny.PADDED)
    scorer = tiny.scorer()
    scorer.restore(path)
    nats = scorer.nats(ids)
    np.testing.assert_allclose(nats, log_softmax_nats(logits, ids), rtol=1e-5, atol=1e-5)
    assert np.std(nats) > 0.1  # Not the uniform distribution, for which all would be equal.


def test_a_model_that_knows_nothing_gives_log_of_the_padded_vocabulary(tmp_path):
    tiny.configure()
    path, _ = tiny.save_and_logits(tmp_path, random_ids(1), scale=0.0)
    scorer = tiny.scorer()
    scorer.restore(path)
    nats = scorer.nats(random_ids(3))
    np.testing.assert_allclose(nats, np.log(tiny.PADDED), rtol=1e-6)


def test_batch_size_does_not_change_a_token(tmp_path):
    tiny.configure()
    ids = random_ids(5)
    path, _ = tiny.save_and_logits(tmp_path, ids)
    results = []
    for rows in (1, 3, 8):
        scorer = tiny.scorer(rows)
        scorer.restore(path)
        results.append(scorer.nats(ids))
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-5, atol=1e-6)
        assert np.sum(result, dtype=np.float64) == pytest.approx(
            np.sum(results[0], dtype=np.float64), rel=1e-6
        )


def test_same_batch_gives_the_same_bits(tmp_path):
    tiny.configure()
    ids = random_ids(4)
    path, _ = tiny.save_and_logits(tmp_path, ids)
    scorer = tiny.scorer()
    scorer.restore(path)
    np.testing.assert_array_equal(scorer.nats(ids), scorer.nats(ids))


def test_padding_counts_nothing_and_changes_nothing(tmp_path):
    tiny.configure()
    ids = random_ids(2)
    path, _ = tiny.save_and_logits(tmp_path, ids)
    scorer = tiny.scorer()
    scorer.restore(path)
    whole = scorer.nats(ids)
    ids[1, 10:] = 0
    cut = scorer.nats(ids)
    assert not cut[1, 10:].any()
    np.testing.assert_allclose(cut[1, :10], whole[1, :10], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", ["primer", "transformer"])
def test_segments_of_a_window_do_not_see_each_other(tmp_path, architecture):
    tiny.configure(architecture)
    ids = random_ids(1)
    path, _ = tiny.save_and_logits(tmp_path, ids)
    scorer = tiny.scorer()
    scorer.restore(path)
    segments = np.array([[1] * 6 + [2] * 10])
    packed = scorer.nats(ids, segments)[0]
    alone = [np.zeros([1, tiny.LENGTH], int), np.zeros([1, tiny.LENGTH], int)]
    alone[0][0, :6], alone[1][0, :10] = ids[0, :6], ids[0, 6:]
    first, second = (scorer.nats(part)[0] for part in alone)
    np.testing.assert_allclose(packed, [*first[:6], *second[:10]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "mesh_shape", ["batch:2,model:2", "model:4", "batch:2"]
)
def test_a_mesh_gives_the_numbers_of_one_device(tmp_path, mesh_shape):
    tiny.configure()
    ids = random_ids(4)
    path, logits = tiny.save_and_logits(tmp_path, ids)
    layout = "batch:batch,d_ff:model,heads:model,vocab:model"
    scorer = tiny.scorer(4, mesh_shape, layout)
    scorer.restore(path)
    np.testing.assert_allclose(
        scorer.nats(ids), log_softmax_nats(logits, ids), rtol=1e-4, atol=1e-5
    )


def test_rows_that_the_mesh_cannot_divide_are_refused():
    tiny.configure()
    with pytest.raises(UsageError, match="batch size 3 .* multiple of 2"):
        tiny.scorer(3, "batch:2", "batch:batch")


def test_one_session_reads_checkpoint_after_checkpoint(tmp_path):
    tiny.configure()
    ids = random_ids(2)
    first, logits = tiny.save_and_logits(tmp_path / "a", ids)
    other, _ = tiny.save_and_logits(tmp_path / "b", ids, scale=0.0)
    scorer = tiny.scorer()
    scorer.restore(first)
    before = scorer.nats(ids)
    scorer.restore(other)
    np.testing.assert_allclose(scorer.nats(ids), np.log(tiny.PADDED), rtol=1e-6)
    scorer.restore(first)
    np.testing.assert_array_equal(scorer.nats(ids), before)
    np.testing.assert_allclose(before, log_softmax_nats(logits, ids), rtol=1e-5, atol=1e-5)


def test_a_checkpoint_of_another_model_and_a_damaged_one_are_refused(tmp_path):
    tiny.configure("transformer")
    path, _ = tiny.save_and_logits(tmp_path, random_ids(1))
    with open(f"{path}.data-00000-of-00001", "r+b") as data:
        data.truncate(1000)
    scorer = tiny.scorer()
    with pytest.raises(RunError, match="model.ckpt-1 cannot be read"):
        scorer.restore(path)


def test_only_language_models_are_scored():
    from primer.evaluation.scorer import Scorer

    with pytest.raises(UsageError, match="utils.run.model_type"):
        Scorer(object(), 8)
