"""Whole documents: tokens of the training pipeline, exact bytes, one graph per reader."""

import functools

import gin
import numpy as np
import pytest
import seqio
import tensorflow.compat.v1 as tf

from primer.data import whole_documents
from primer.errors import UsageError


def test_encoded_texts_have_the_tokens_of_the_pipeline():
    vocabulary = seqio.TaskRegistry.get("sotu").output_features["targets"].vocabulary
    documents = list(whole_documents.documents("sotu", "test"))
    again = whole_documents.encode(vocabulary, [text for text, _ in documents])
    assert [ids.tolist() for ids in again] == [ids.tolist() for _, ids in documents]
    assert [ids.tolist() for ids in whole_documents.encode(vocabulary, ["", "a"])][0] == []
    assert whole_documents.encode(vocabulary, []) == []


def test_documents_can_be_read_where_eager_execution_is_off():
    """Under t5's command; the reader's graph is not the caller's default graph."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        constant = tf.constant(3)
        for number, (text, ids) in enumerate(whole_documents.documents("sotu", "test")):  # noqa: B007
            assert text and len(ids)
            assert tf.get_default_graph() is graph
            assert session.run(constant) == 3
        assert number == 12
        assert len(graph.get_operations()) == 1


def bind_lines(tmp_path, content):
    (tmp_path / "lines.txt").write_bytes(content)
    gin.parse_config(f"""
        text_files.glob = "{tmp_path}/lines.txt"
        text_files.unit = "line"
        text_files.held_out = 0.0
        task_vocabulary.name = "bytes"
    """)


def test_batches_and_documents_are_the_same(tmp_path):
    texts = [f"line {n} " + "x" * (n % 7) for n in range(2500)]
    bind_lines(tmp_path, "\n".join(texts).encode())
    documents = list(whole_documents.documents("text", "train"))
    assert [text for text, _ in documents] == texts
    batches = list(whole_documents.batches("text", "train"))
    assert 1 < len(batches) < 100 and not any(batch.are_lines for batch in batches)
    assert sum((batch.texts for batch in batches), []) == [text.encode() for text in texts]
    ids = np.concatenate([batch.ids for batch in batches])
    assert bytes((ids - 3).tolist()).decode() == "".join(texts)
    lengths = np.concatenate([batch.lengths for batch in batches])
    assert lengths.tolist() == [len(ids) for _, ids in documents] == list(map(len, texts))


def test_bytes_that_are_not_utf8_are_restored():
    content = b"caf\xe9 \xe2\x82"
    text = content.decode("utf-8", "surrogateescape")
    assert whole_documents.as_bytes(text) == content
    assert whole_documents.as_bytes("\u20ac") == b"\xe2\x82\xac"


def test_lines_and_texts_are_known_from_the_source():
    assert whole_documents.are_lines("ptb") and not whole_documents.are_lines("sotu")
    assert whole_documents.keeps_text("sotu")
    assert not whole_documents.keeps_text("gpt_neo_records")
    whole_documents.check_task("gpt_neo_records")
    gin.parse_config("mixture.tasks = [('ptb', 1.0), ('sotu', 1.0)]")
    assert not whole_documents.are_lines("mixture") and whole_documents.keeps_text("mixture")


@pytest.fixture
def task_without_tokenize():
    def upper(dataset):
        return dataset.map(lambda example: {"targets": tf.strings.upper(example["targets"])})

    def source(split, shuffle_files, seed=None):
        return tf.data.Dataset.from_tensor_slices({"targets": ["one", "two"]})

    add = functools.partial(
        seqio.TaskRegistry.add,
        source=seqio.FunctionDataSource(source, ["train"]),
        output_features={"targets": seqio.Feature(seqio.ByteVocabulary())},
    )
    add("untokenized", preprocessors=[upper])
    add("tokenized", preprocessors=[upper, seqio.preprocessors.tokenize])
    yield
    seqio.TaskRegistry.remove("untokenized")
    seqio.TaskRegistry.remove("tokenized")


def test_the_steps_before_tokenize_are_applied(task_without_tokenize):
    texts = [text for text, _ in whole_documents.documents("tokenized", "train")]
    assert texts == ["ONE", "TWO"]
    whole_documents.check_task("tokenized")
    with pytest.raises(UsageError, match="'untokenized' has no preprocessor .*tokenize"):
        whole_documents.check_task("untokenized")
