"""Units of texts in three vocabularies, of genuine WikiText, and of records without a text."""

import math

import gin
import numpy as np
import pytest
import seqio
import tensorflow as tf

import primer.data.tasks  # noqa: F401
from primer.data import whole_documents
from primer.errors import UsageError
from primer.evaluation import protocols, tokenized_split
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

    length, rows = 512, 64

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
    split = tokenized_split.read("text", "train")
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
        Uniform(), tokenized_split.read("wikitext2", split)
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
    split = tokenized_split.read("wikitext2", "validation")
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
    split = tokenized_split.read("gpt_neo_records", "validation")
    assert split.ids.tolist() == [5, 6, 1, 7, 8, 1, 1, 9, 4, 1, 3]
    assert split.lengths.tolist() == [3, 3, 1, 3, 1]
    assert split.ends.tolist() == [2, 5, 6, 9]
    found = protocols.Protocol("stream").evaluate(Uniform(), split)
    assert found.nats_per_token == pytest.approx(math.log(10))
    assert found.end_nats == pytest.approx(4 * math.log(10))
    assert found.bytes is found.characters is found.words is None


@pytest.mark.parametrize("units", ["perplexity_per_word", ["nats_per_token", "bits_per_byte"]])
def test_units_of_text_are_refused_where_there_is_none(units):
    gin.bind_parameter("protocol.units", units)
    protocol = protocols.chosen()
    with pytest.raises(UsageError, match="gpt_neo_records keeps token ids and no text"):
        protocol.read("gpt_neo_records", "validation", 16)
    gin.bind_parameter("protocol.name", "as_released")
    with pytest.raises(UsageError, match="as_released counts rows"):
        protocols.chosen().check_units("text")
    protocols.Protocol("stream", units=("nats_per_token",)).check_units("gpt_neo_records")
    protocol.check_units("text")


def test_lines_count_their_ends_as_words_task_by_task(shared_data):
    """In a mixture of lines and documents too."""
    gin.bind_parameter("local_data.folder", str(shared_data))
    gin.bind_parameter("task_vocabulary.name", "bytes")
    gin.bind_parameter("mixture.tasks", [("wikitext2", 1.0), ("sotu", 1.0)])
    both = tokenized_split.read("mixture", "validation")
    names = [task.name for task in seqio.get_subtasks(seqio.get_mixture_or_task("mixture"))]
    assert sorted(names) == ["sotu", "wikitext2"]
    parts = [tokenized_split.read(name, "validation") for name in names]
    assert both.words == sum(part.words for part in parts)
    np.testing.assert_array_equal(both.ids, np.concatenate([part.ids for part in parts]))
    np.testing.assert_array_equal(both.ends, np.cumsum(both.lengths) - 1)


def test_an_empty_split_is_refused(tmp_path):
    use_lines(tmp_path, "bytes")
    (tmp_path / "own.txt").write_text("")
    with pytest.raises(UsageError):
        tokenized_split.read("text", "train")
