"""The protocol `masked`: against numpy, the rows of training, batch sizes, and what it refuses."""

import dataclasses
import math

import gin
import mesh_tensorflow as mtf
import numpy as np
import pytest
import seqio
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import utils

from primer.data.objectives.token_masking import Masking, MaskSettings
from primer.errors import UsageError
from primer.evaluation import report
from primer.evaluation.paired import document_sums
from primer.evaluation.protocols import Protocol
from primer.evaluation.scorer import Scorer
from primer.evaluation.windows import masked
from tests.evaluation import tiny

VOCABULARY = seqio.ByteVocabulary(extra_ids=1)
MASKED = Protocol("masked")


def model(kind="aligned"):
    return utils.build_model(kind, 260, 260, mesh_shape="", layout_rules="")


def scorer(rows=2):
    made = Scorer(model(), tiny.LENGTH, rows, masked=True)
    tiny.randomize(made, 0.4)
    return made


def masked_text(length=tiny.LENGTH, **settings):
    own = Masking(MaskSettings(**{"mask_rate": 0.4, **settings}), VOCABULARY, "some_task")
    return masked.mask(tiny.text(documents=12), own, length)


@pytest.fixture
def configured():
    tiny.configure("transformer", "relu")


def logits_of(made, inputs):
    """The logits of another graph with the scorer's weights, [rows, length, padded vocabulary]."""
    with made._session.graph.as_default():
        variables = tf.global_variables()
        values = dict(zip([v.op.name for v in variables], made._session.run(variables)))
    with tf.Graph().as_default():
        mesh = mtf.Mesh(mtf.Graph(), "reference")
        dims = [mtf.Dimension("batch", len(inputs)), mtf.Dimension("length", inputs.shape[1])]
        ids = mtf.import_fully_replicated(mesh, tf.constant(inputs), dims, "ids")
        segments = mtf.cast(mtf.greater(ids, 0), tf.int32)
        logits, _ = model().call_simple(
            inputs=ids,
            targets=ids,
            compute_loss=False,
            mode="eval",
            variable_dtype=mtf.VariableDType(tf.float32, tf.float32, tf.float32),
            sequence_id=segments,
        )
        mesh_impl = mtf.placement_mesh_impl.PlacementMeshImpl("", "", [""])
        lowering = mtf.Lowering(mesh.graph, {mesh: mesh_impl})
        exported = lowering.export_to_tf_tensor(logits)
        with tf.Session() as sess:
            sess.run([v.assign(values[v.op.name]) for v in tf.global_variables()])
            sess.run(lowering.copy_masters_to_slices())
            return sess.run(exported).astype(np.float64)


def padded_rows(values):
    rows = np.zeros([-(-len(values) // tiny.LENGTH), tiny.LENGTH], values.dtype)
    rows.reshape(-1)[: len(values)] = values
    return rows


def test_the_loss_is_numpys_at_predicted_tokens_and_zero_elsewhere(configured):
    text, made = masked_text(), scorer()
    nats = MASKED.token_nats(made, text)
    logits = logits_of(made, padded_rows(text.inputs)).reshape(-1, tiny.PADDED)[: len(text.ids)]
    log_p = logits - logits.max(-1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(-1, keepdims=True))
    expected = -log_p[np.arange(len(text.ids)), text.ids] * text.predicted
    np.testing.assert_allclose(nats, expected, rtol=1e-4, atol=1e-5)
    assert 0 < text.predicted.sum() < len(text.ids)
    found = MASKED.total_of(nats, text)
    assert found.tokens == text.predicted.sum()
    assert found.nats_per_token == pytest.approx(expected.sum() / text.predicted.sum(), rel=1e-5)
    assert found.standard_error > 0
    assert all(
        math.isnan(getattr(found, unit)) for unit in ("bits_per_byte", "perplexity_per_word")
    )
    sums = document_sums.of_text(nats, text)
    assert sums.counts["tokens"].sum() == found.tokens
    assert list(sums.counts) == ["tokens"]


def test_any_batch_size_gives_the_same_number(configured):
    text = masked_text()
    first, *others = (MASKED.token_nats(scorer(rows), text) for rows in (1, 2, 5))
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-5, atol=1e-5)


def test_a_token_has_its_loss_from_both_sides(configured):
    made, text = scorer(), masked_text()
    inputs, ids = padded_rows(text.inputs)[:1], padded_rows(text.ids)[:1]
    before = made.nats(ids, None, inputs)[0]
    for changed in (0, tiny.LENGTH - 1):
        other = inputs.copy()
        other[0, changed] = 100
        assert (np.abs(made.nats(ids, None, other)[0] - before) > 1e-5).all()


def test_masks_change_with_the_seed_and_the_length_and_so_does_the_checksum():
    texts = [masked_text(), masked_text(), masked_text(evaluation_seed=1), masked_text(length=8)]
    first, again, *others = (text.checksum for text in texts)
    assert first == again and len({first, *others}) == 3


def test_a_text_without_a_masked_token_is_refused():
    gin.parse_config(["masked_lm.mask_rate = 1e-12", "task_vocabulary.extra_ids = 1"])
    with pytest.raises(
        UsageError, match="none of the .* tokens of the split 'validation' is masked"
    ):
        MASKED.read_split("sotu", "validation", 64)


def test_models_and_protocols_go_together(configured):
    MASKED.check_model(is_masked=True)
    Protocol("stream").check_model(is_masked=False)
    with pytest.raises(UsageError, match="protocol.name = 'packed' .* sees both sides"):
        Protocol("packed").check_model(is_masked=True)
    with pytest.raises(UsageError, match="this one reads left to right; expected one of stream, "):
        MASKED.check_model(is_masked=False)
    with pytest.raises(UsageError, match="a masked language model .* expected 'lm'"):
        Scorer(model(), tiny.LENGTH)
    with pytest.raises(UsageError, match="a model that sees both sides; this model is a Unitransf"):
        Scorer(model("lm"), tiny.LENGTH, masked=True)


def test_units_of_text_are_refused():
    with pytest.raises(
        UsageError, match="protocol.units has bits_per_byte, and the protocol masked"
    ):
        dataclasses.replace(MASKED, units=("bits_per_byte",)).check_task("sotu")
    dataclasses.replace(MASKED, units=("nats_per_token",)).check_task("sotu")


def test_its_loss_is_not_compared_with_that_of_a_causal_model():
    row = {"split": "validation", "protocol": "masked", "tokens": 5, "text_checksum": "a"}
    causal = {**row, "protocol": "stream"}
    assert report.find_difference([row, causal]) == "the protocol is masked and stream"
    other = {**row, "text_checksum": "b"}
    assert report.find_difference([row, other]).startswith("the tokens differ (checksums a and b)")
    assert report.describe_counts(row) == "Over 5 masked tokens; checksum a."
    assert "15% of the ordinary tokens, drawn with seed 0" in MASKED.describe("validation", 64)
