"""The scorer against numpy, over batch sizes, padding, segments and meshes."""

from typing import NamedTuple

import gin
import numpy as np
import pytest

from primer.errors import RunError, UsageError
from primer.evaluation import protocols
from primer.evaluation.scorer import Scorer
from primer.gin_config import isolation
from tests import slow
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


def test_a_scorer_compiled_by_xla(tmp_path):
    tiny.configure()
    gin.parse_config(["compile.xla = True", "num_layers = 1"])
    ids = random_ids(3)
    path, logits = tiny.save_and_logits(tmp_path, ids)
    scorer = tiny.scorer()
    scorer.restore(path)
    nats, are_best = scorer.nats_and_best(ids)
    np.testing.assert_allclose(nats, log_softmax_nats(logits, ids), rtol=1e-5, atol=1e-5)
    assert (are_best == (logits[..., : tiny.VOCABULARY].argmax(-1) == ids)).all()
    assert scorer._nats_and_best.is_compiled
    scorer.close()


@pytest.mark.parametrize("positions", ["learned", "sinusoid"])
def test_absolute_positions_restart_with_each_text_of_a_row(tmp_path, positions):
    tiny.configure("transformer", "relu")
    gin.parse_config(f"positions = '{positions}'")
    ids = random_ids(1)
    segments = np.where(np.arange(tiny.LENGTH) < 6, 1, 2)[None]
    path, logits = tiny.save_and_logits(tmp_path, ids)
    scorer = tiny.scorer()
    scorer.restore(path)
    np.testing.assert_allclose(
        scorer.nats(ids), log_softmax_nats(logits, ids), rtol=1e-5, atol=1e-5
    )
    packed = scorer.nats(ids, segments)
    alone = np.zeros([2, tiny.LENGTH], int)
    alone[0, :6], alone[1, :-6] = ids[0, :6], ids[0, 6:]
    first, second = scorer.nats(alone)
    expected = np.concatenate([first[:6], second[:-6]])
    np.testing.assert_allclose(packed[0], expected, rtol=1e-5, atol=1e-5)


def test_a_window_beyond_max_length_is_an_error():
    tiny.configure("transformer", "relu")
    gin.parse_config(["positions = 'learned'", f"max_length = {tiny.LENGTH - 1}"])
    with pytest.raises(ValueError, match="^max_length = 15 positions have an embedding"):
        tiny.scorer()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A scorer with batches of two rows, and checkpoints of random and of zero weights."""
    with isolation.isolated():
        tiny.configure()
        ids = random_ids(5)
        path, logits = tiny.save_and_logits(tmp_path_factory.mktemp("random"), ids)
        zero, _ = tiny.save_and_logits(tmp_path_factory.mktemp("zero"), ids, scale=0.0)
        yield Made(tiny.scorer(2), ids, path, logits, zero)


class Made(NamedTuple):
    scorer: Scorer
    ids: np.ndarray
    path: str
    logits: np.ndarray
    zero: str


def test_zero_weights_give_the_log_of_the_padded_vocabulary(made):
    made.scorer.restore(made.zero)
    np.testing.assert_allclose(made.scorer.nats(made.ids), np.log(tiny.PADDED), rtol=1e-6)


def test_one_session_reads_checkpoint_after_checkpoint(made):
    made.scorer.restore(made.path)
    before = made.scorer.nats(made.ids)
    made.scorer.restore(made.zero)
    assert not np.array_equal(made.scorer.nats(made.ids), before)
    made.scorer.restore(made.path)
    # The same batch and mesh: the same bits.
    np.testing.assert_array_equal(made.scorer.nats(made.ids), before)
    expected = log_softmax_nats(made.logits, made.ids)
    np.testing.assert_allclose(before, expected, rtol=1e-5, atol=1e-5)


def test_batch_size_does_not_change_a_token(made):
    made.scorer.restore(made.path)
    tiny.configure()
    other = tiny.scorer(3)
    other.restore(made.path)
    results = [scorer.nats(made.ids) for scorer in (made.scorer, other)]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5, atol=1e-6)
    totals = [np.sum(result, dtype=np.float64) for result in results]
    assert totals[0] == pytest.approx(totals[1], rel=1e-6)


def test_padding_counts_nothing_and_changes_nothing(made):
    made.scorer.restore(made.path)
    whole = made.scorer.nats(made.ids)
    ids = made.ids.copy()
    ids[1, 10:] = 0
    cut = made.scorer.nats(ids)
    assert not cut[1, 10:].any()
    np.testing.assert_allclose(cut[1, :10], whole[1, :10], rtol=1e-5, atol=1e-6)


def test_segments_of_a_window_do_not_see_each_other(made):
    made.scorer.restore(made.path)
    ids = made.ids[:1]
    packed = made.scorer.nats(ids, np.array([[1] * 6 + [2] * 10]))[0]
    first, second = np.zeros_like(ids), np.zeros_like(ids)
    first[0, :6], second[0, :10] = ids[0, :6], ids[0, 6:]
    alone = [*made.scorer.nats(first)[0, :6], *made.scorer.nats(second)[0, :10]]
    np.testing.assert_allclose(packed, alone, rtol=1e-4, atol=1e-5)
    assert np.abs(packed - made.scorer.nats(ids)[0])[6:].max() > 1e-3  # They would, as one text.


def first_choices(logits, ids):
    """Whether numpy finds each token to be the likeliest of the vocabulary without padding."""
    return logits[..., 1 : tiny.VOCABULARY].argmax(-1) + 1 == ids


def test_first_choices_are_those_of_numpy(made):
    made.scorer.restore(made.path)
    ids = made.ids.copy()
    likeliest = made.logits[..., 1 : tiny.VOCABULARY].argmax(-1) + 1
    ids[:, -1] = likeliest[:, -1]  # The last token of a row is no other's context.
    ids[1, 0] = likeliest[1, 0]
    segments = np.ones_like(ids)
    segments[1, 1:] = 0
    nats, are_best = made.scorer.nats_and_best(ids, segments)
    np.testing.assert_array_equal(nats, made.scorer.nats(ids, segments))
    expected = first_choices(made.logits, ids) & (segments > 0)
    np.testing.assert_array_equal(are_best, expected)
    assert expected[[0, 2, 3, 4], -1].all() and expected[1, 0] and not expected.all()


@pytest.mark.parametrize(
    "mesh_shape", slow.all_but(["batch:2,model:2"], ["batch:2,model:2", "batch:2"])
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
    ids[:, -1] = logits[:, -1, 1 : tiny.VOCABULARY].argmax(-1) + 1
    _, are_best = scorer.nats_and_best(ids)
    np.testing.assert_array_equal(are_best, first_choices(logits, ids))


def test_rows_that_the_mesh_cannot_divide_are_refused():
    tiny.configure()
    with pytest.raises(UsageError, match="batch size 3 .* multiple of 2"):
        tiny.scorer(3, "batch:2", "batch:batch")


def test_a_damaged_checkpoint_is_refused(tmp_path):
    tiny.configure("transformer")
    path, _ = tiny.save_and_logits(tmp_path, random_ids(1))
    with open(f"{path}.data-00000-of-00001", "r+b") as data:
        data.truncate(1000)
    scorer = tiny.scorer()
    with pytest.raises(RunError, match="model.ckpt-1 cannot be read") as error:
        scorer.restore(path)
    assert "Graph execution error" not in str(error.value)


def test_only_language_models_are_scored():
    with pytest.raises(UsageError, match="utils.run.model_type"):
        Scorer(object(), 8)


def test_caveats_name_a_model_whose_losses_depend_on_the_batch():
    tiny.configure()
    gin.parse_config(
        ["feed_forward = @MixtureOfExperts", "num_experts = 2", "expert_gating = 'expert_choice'"]
    )
    scorer = Scorer(tiny.model(), tiny.LENGTH)
    assert "the other texts of the batch" in protocols.configured_protocol().describe(
        "test", 16, scorer.caveats
    )
    scorer.close()


def test_scoring_ends_before_a_batch(made):
    batches = []

    def before_batch():
        batches.append(len(batches))
        if len(batches) == 2:
            raise InterruptedError

    made.scorer.before_batch = before_batch
    try:
        with pytest.raises(InterruptedError):
            made.scorer.nats(made.ids)
    finally:
        made.scorer.before_batch = None
    assert batches == [0, 1]
