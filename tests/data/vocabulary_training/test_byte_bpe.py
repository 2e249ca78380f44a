"""Training a byte-level BPE: a lossless tokenizer.json, the same for the same texts."""

import json

import pytest

from primer.data.vocabularies import huggingface
from primer.data.vocabularies.tokenizer_files import Definition
from primer.data.vocabulary_training import build, byte_bpe
from primer.errors import UsageError
from tests.data.vocabularies.tokenizers_made import HARD_TEXTS

pytest.importorskip("tokenizers", reason="needs the extra huggingface")

TEXTS = [f"the quick brown fox {n} jumps over lazy dogs\n".encode() * 3 for n in range(40)]


def test_every_text_is_given_back():
    content = byte_bpe.train(iter(TEXTS), 300)
    assert content == byte_bpe.train(iter(TEXTS), 300)
    definition = Definition(content.decode(), byte_bpe.END, False)
    vocabulary = huggingface.HuggingFaceVocabulary(definition)
    assert (vocabulary.vocab_size, vocabulary.eos_id, vocabulary.id_offset) == (300, 1, 0)
    assert vocabulary.unk_id is None and vocabulary.special_ids == [0, 1]
    for text in HARD_TEXTS:
        assert vocabulary.text_of(vocabulary.encode(text)) == text
    assert len(vocabulary.encode(" quick brown")) == 2  # Whole words.
    assert json.loads(content)["model"]["merges"][0]


def test_it_is_built_as_the_other_kinds():
    built = build.build_vocabulary(TEXTS, "byte_bpe", size=300, say=lambda line: None)
    assert built.content == byte_bpe.train(TEXTS, 300)
    assert built.description == "300 tokens (byte-level BPE)" and "40 documents" in built.source


@pytest.mark.parametrize("size, words", [(257, "258 or more"), (5000, "set it to <= 3")])
def test_sizes_that_are_not_possible(size, words):
    with pytest.raises(UsageError, match=f"--size is {size}.*{words}"):
        byte_bpe.train(TEXTS, size)
