"""Stored tokens: their bytes, how documents are collected, and what is said of it."""

import tempfile

import numpy as np
import pytest
import seqio
import tensorflow as tf

from primer.common import input_progress
from primer.data.objectives import stored_tokens
from primer.errors import RunError

TEXTS = ["", "one", "two words", "caf\xe9"] * 20


def tokens(documents, vocab_size=1000):
    blocks = [(np.array(ids, np.int32), np.array([len(ids)])) for ids in documents]
    return stored_tokens.Tokens(blocks, vocab_size)


@pytest.mark.parametrize("vocab_size, dtype", [(1 << 16, np.uint16), ((1 << 16) + 1, np.int32)])
def test_ids_take_the_bytes_that_the_vocabulary_needs(vocab_size, dtype):
    found = tokens([[5, 65_535], [], [7]], vocab_size)
    assert found.read(0, 3).dtype == dtype and found.read(0, 3).tolist() == [5, 65_535, 7]
    assert found.read(1, 2).tolist() == [65_535]
    assert found.starts.tolist() == [0, 2, 2, 3]
    assert tokens([], vocab_size).read(0, 0).tolist() == []


def test_a_full_disk_is_named(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: open("/dev/full", "wb"))  # noqa: SIM115
    with pytest.raises(
        RunError, match=r"cannot be written to .*No space.*TMPDIR .*2 bytes a token"
    ):
        tokens([[5]])


def test_an_error_of_reading_is_not_one_of_writing():
    def blocks():
        yield np.array([5]), np.array([1])
        raise OSError("the file is damaged")

    with pytest.raises(OSError, match="damaged"):
        stored_tokens.Tokens(blocks(), 1000)


def text_batches():
    texts = tf.data.Dataset.from_tensor_slices({"targets": TEXTS})
    return stored_tokens.text_batches(texts, seqio.ByteVocabulary())


def id_batches():
    vocabulary = seqio.ByteVocabulary()
    texts = tf.data.Dataset.from_tensor_slices(TEXTS)
    ids = texts.map(lambda text: {"targets": vocabulary.encode_tf(text)})
    return stored_tokens.id_batches(ids)


@pytest.mark.parametrize("batches", [text_batches, id_batches])
def test_documents_are_collected_with_end_tokens(batches):
    found = stored_tokens.collect_tokens("task", batches, seqio.ByteVocabulary())
    ids = [[byte + 3 for byte in text.encode()] + [1] for text in TEXTS]
    assert found.read(0, found.starts[-1]).tolist() == sum(ids, [])
    assert np.diff(found.starts).tolist() == list(map(len, ids))


def test_what_is_read_is_said(monkeypatch):
    said = []
    monkeypatch.setattr(stored_tokens.LiveLine, "is_due", lambda line: True)
    monkeypatch.setattr(stored_tokens.LiveLine, "show", lambda line, text: said.append(text))
    with input_progress.reporting_to(input_progress.InputProgress(said.append)):
        stored_tokens.collect_tokens("task", text_batches, seqio.ByteVocabulary())
    assert said[0] == "task: tokenizing all documents once, into a temporary file."
    assert said[1] == "task: 8 documents, 42 tokens, 34 bytes read"
    assert said[-1].startswith("task: 80 documents, 420 tokens, 340 bytes, tokenized in ")
