"""Totals in all units: by definition, in three vocabularies, of WikiText, of records."""

import math

import gin
import numpy as np
import pytest
import tensorflow as tf

import primer.data.tasks  # noqa: F401
from primer.data import whole_documents
from primer.evaluation import protocols, tokenized_split, totals
from primer.evaluation.totals import Totals
from tests.evaluation import tiny

LINES = ["One caf\u00e9, two.", "", "  Three\u2003four\tfive ", "\u2603 six" * 30]


def use_lines(folder, vocabulary, model_file=None):
    """Makes LINES the training split of the task `text`, and chooses a vocabulary."""
    (folder / "own.txt").write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    gin.bind_parameter("text_files.glob", str(folder / "own.txt"))
    gin.bind_parameter("text_files.held_out", 0.0)
    gin.bind_parameter("text_files.unit", "line")
    gin.bind_parameter("task_vocabulary.name", vocabulary)
    if model_file:
        gin.bind_parameter("task_vocabulary.model_file", str(model_file))


class Uniform:
    """Stands in for a scorer: every token costs log 10."""

    length, rows, memory = 512, 64, None

    def nats(self, targets, segments):
        return np.where(segments > 0, np.float32(math.log(10)), 0)


@pytest.mark.parametrize("vocabulary, padded", [("bytes", 384), ("sotu", 8192), ("t5", 32128)])
def test_a_model_with_zero_logits_has_the_log_of_its_vocabulary(
    vocabulary, padded, tmp_path, request
):
    file = None
    if vocabulary == "t5":
        file = request.getfixturevalue("shared_data") / "cc_all.32000.model"
    tiny.configure("transformer", "relu")
    use_lines(tmp_path, vocabulary, file)
    size = (
        whole_documents.preflight.find_task("text").output_features["targets"].vocabulary.vocab_size
    )
    scorer = tiny.scorer(3, vocabulary=size)
    tiny.zero(scorer)
    split = tokenized_split.read_split("text", "train")
    documents = [line for line in LINES if line]  # The task `text` has no empty documents.
    tokens = sum(len(ids) + 1 for _, ids in whole_documents.documents("text", "train"))
    nats = math.log(padded) * tokens
    for name in ("stream", "packed"):
        found = protocols.Protocol(name).evaluate(scorer, split)
        assert found.nats_per_token == pytest.approx(math.log(padded), rel=1e-6)
        assert found.perplexity_per_token == pytest.approx(padded, rel=1e-5)
        size = sum(len(document.encode()) + 1 for document in documents)
        assert found.bits_per_byte == pytest.approx(nats / math.log(2) / size, rel=1e-6)
        characters = sum(len(document) + 1 for document in documents)
        assert found.bits_per_character == pytest.approx(nats / math.log(2) / characters, rel=1e-6)
        words = sum(len(document.split()) for document in documents)
        assert found.perplexity_per_word == pytest.approx(math.exp(nats / words), rel=1e-4)
        assert found.end_nats == pytest.approx(len(documents) * math.log(padded), rel=1e-6)
        assert found.standard_error == pytest.approx(0, abs=1e-6)
    assert vocabulary != "bytes" or tokens == size


@pytest.mark.parametrize("split, words", [("validation", 217_646), ("test", 245_569)])
@pytest.mark.parametrize("vocabulary", ["bytes", "sotu"])
def test_wikitext2_has_the_words_of_its_papers(shared_data, vocabulary, split, words):
    gin.bind_parameter("local_data.folder", str(shared_data))
    gin.bind_parameter("task_vocabulary.name", vocabulary)
    name = {"validation": "valid"}.get(split, split)
    content = (shared_data / "wikitext-2" / f"wiki.{name}.tokens").read_bytes()
    found = protocols.Protocol("stream").evaluate(
        Uniform(), tokenized_split.read_split("wikitext2", split)
    )
    assert (found.words, found.bytes) == (words, len(content))
    assert found.characters == len(content.decode())
    assert found.documents == content.count(b"\n")
    expected = 10 ** (found.tokens / words)
    assert found.perplexity_per_word == pytest.approx(expected, rel=1e-5)
    assert vocabulary != "bytes" or found.tokens == len(content)


@pytest.mark.slow
def test_wikitext2_under_a_real_model(shared_data):
    tiny.configure()
    gin.bind_parameter("local_data.folder", str(shared_data))
    gin.bind_parameter("task_vocabulary.name", "sotu")
    scorer = tiny.scorer(256, vocabulary=8192)
    tiny.zero(scorer)
    split = tokenized_split.read_split("wikitext2", "validation")
    found = protocols.Protocol("stream").evaluate(scorer, split)
    assert found.words == 217_646
    assert found.nats == pytest.approx(len(split.ids) * math.log(8192), rel=1e-6)


def write_records(path, *records):
    with tf.io.TFRecordWriter(str(path)) as out:
        for ids in records:
            feature = tf.train.Feature(int64_list=tf.train.Int64List(value=ids))
            features = tf.train.Features(feature={"text": feature})
            out.write(tf.train.Example(features=features).SerializeToString())


def test_records_without_text_have_units_of_tokens(tmp_path):
    """Documents end at their end tokens, wherever the files cut them into records."""
    write_records(tmp_path / "validation_0_2.tfrecords", [5, 6, 1, 7], [8, 1, 1, 9])
    write_records(tmp_path / "validation_1_1.tfrecords", [4, 1, 3])
    gin.bind_parameter("gpt_neo_records.validation_glob", str(tmp_path / "*"))
    split = tokenized_split.read_split("gpt_neo_records", "validation")
    assert split.ids.tolist() == [5, 6, 1, 7, 8, 1, 1, 9, 4, 1, 3]
    assert split.lengths.tolist() == [3, 3, 1, 3, 1]
    assert split.ends.tolist() == [2, 5, 6, 9]
    found = protocols.Protocol("stream").evaluate(Uniform(), split)
    assert found.nats_per_token == pytest.approx(math.log(10))
    assert found.end_nats == pytest.approx(4 * math.log(10))
    assert found.bytes is found.characters is found.words is None


def tokens(ids, *lengths):
    """A text of tokens alone, in documents of these lengths or in one."""
    ids = np.asarray(ids, np.int32)
    return tokenized_split.from_tokens(ids, lengths or [len(ids)], 1)


def test_a_total_has_what_each_document_has():
    made = tokenized_split.from_documents(
        [("ab c", [5, 6, 7]), ("\u00e9", [9]), ("", [])], 1, are_lines=True
    )
    nats = np.array([1, 2, 3, 0.5, 4, 0.25, 0.125], np.float32)
    whole = totals.total(nats, made)
    assert (whole.nats, whole.end_nats, whole.documents) == (10.875, 0.875, 3)
    assert (whole.tokens, whole.bytes, whole.characters, whole.words) == (7, 9, 8, 6)
    parts = totals.per_document(nats, made)
    assert [part.nats for part in parts] == [6.5, 4.25, 0.125]
    assert [part.end_nats for part in parts] == [0.5, 0.25, 0.125]
    for key in ("nats", "end_nats", "tokens", "bytes", "characters", "words", "documents"):
        assert sum(getattr(part, key) for part in parts) == getattr(whole, key)


def test_sums_are_in_float64():
    """In float32 a sum of millions of tokens stops growing."""
    number = 30_000_000
    made = tokens(np.ones(number, np.int32))
    nats = np.full(number, 0.7, np.float32)
    expected = number * float(np.float32(0.7))
    assert totals.total(nats, made).nats == pytest.approx(expected, rel=1e-12)


def test_the_standard_error_is_that_of_drawing_documents():
    """Against the spread of the mean over many draws of as many documents."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 40, 400)
    sums = lengths * generator.gamma(9, 1 / 3, 400)
    draws = generator.integers(0, 400, [4000, 400])
    spread = np.std(sums[draws].sum(1) / lengths[draws].sum(1))
    made = tokens(np.ones(lengths.sum()), *lengths)
    found = totals.total(np.repeat(sums / lengths, lengths), made).standard_error
    assert found == pytest.approx(spread, rel=0.05)
    assert math.isnan(totals.total(np.ones(3), tokens([1, 2, 3])).standard_error)


def test_units_are_one_total_over_different_denominators():
    found = Totals(50 * math.log(2), tokens=25, bytes=100, words=10, documents=2, characters=80)
    assert found.nats_per_token == pytest.approx(2 * math.log(2))
    assert found.perplexity_per_token == pytest.approx(4)
    assert found.bits_per_byte == pytest.approx(0.5)
    assert found.bits_per_character == pytest.approx(0.625)
    assert found.perplexity_per_word == pytest.approx(2**5)
    assert found.as_dict()["documents"] == 2


def test_the_perplexity_is_that_of_the_mean_loss():
    """Not the mean of the perplexities of parts, which is larger."""
    nats = np.array([1, 2, 3, 0.5, 5, 0.5], np.float32)
    found = totals.total(nats, tokens([1, 2, 3, 4, 5, 6], 4, 2))
    assert found.perplexity_per_token == pytest.approx(math.exp(2))


def test_units_without_a_number():
    assert math.isnan(Totals(1.0, 1, 1, 0, 1).perplexity_per_word)
    assert Totals(1e6, 1, 1, 1, 1).perplexity_per_token == math.inf
    row = totals.total(np.ones(3), tokens([1, 2, 3])).as_dict()
    assert row["nats_per_token"] == 1 and row["tokens"] == 3
    for key in ("bits_per_byte", "bits_per_character", "perplexity_per_word", "bytes", "words"):
        assert math.isnan(row[key])
