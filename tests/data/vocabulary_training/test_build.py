"""Vocabularies built from texts: sizes, special ids, and their measurements on texts."""

import hashlib
import itertools

import pytest
import sentencepiece
import seqio

from primer.data.vocabularies.words import WordVocabulary
from primer.data.vocabulary_training import (
    build,
    sotu_vocabulary,
)
from primer.errors import UsageError


@pytest.fixture(scope="module")
def texts():
    """Six addresses, and one with characters that are rare."""
    addresses = itertools.islice(sotu_vocabulary.training_texts(), 6)
    return [text.encode() for text in [*addresses, "one \u2603 and\n\n  two"]]


def built(texts, model="unigram", **settings):
    return build.build_vocabulary(texts, model, say=lambda _: None, **settings)


@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_pieces_are_lossless_and_repeatable(texts, model):
    found = built(texts, model, size=900)
    assert built(texts, model, size=900) == found
    assert found.sha256 == hashlib.sha256(found.content).hexdigest()
    processor = sentencepiece.SentencePieceProcessor(model_proto=found.content)
    special = (processor.pad_id(), processor.eos_id(), processor.unk_id(), processor.bos_id())
    assert special == (0, 1, 2, -1) and processor.get_piece_size() == 900
    for text in ("Fellow  citizens:\n\nof the \u4e2d\u56fd\n", " a\tb ", texts[0].decode()):
        ids = processor.encode(text)
        assert processor.decode(ids) == text and 2 not in ids


def test_the_vocabulary_sotu_is_built_the_same_way():
    texts = [text.encode() for text in itertools.islice(sotu_vocabulary.training_texts(), 4)]
    expected = sotu_vocabulary.train([text.decode() for text in texts], 700)
    assert built(texts, size=700, character_coverage=1.0).content == expected


@pytest.mark.slow
def test_the_source_says_when_the_text_was_sampled():
    many = [text.encode() for text in itertools.islice(sotu_vocabulary.training_texts(), 90)]
    whole, part, again = (built(many, size=600, sample_bytes=n) for n in (10**9, 10**5, 10**5))
    assert whole.source.startswith("90 documents")
    assert part.source.startswith("a repeatable sample of ") and "of 90 documents" in part.source
    assert whole.content != part.content == again.content


@pytest.mark.parametrize("found", [[], [b"\n"]])
def test_texts_without_words_are_refused(found):
    with pytest.raises(UsageError, match="no word in it"):
        built(found, size=300)
    with pytest.raises(UsageError, match="none of the words of"):
        built(found, "words")


def test_byte_fallback_is_part_of_the_description(texts):
    assert "with byte fallback" in built(texts, size=900).description
    found = built(texts, size=900, byte_fallback=False)
    assert "900 pieces (unigram, without byte fallback)" == found.description


def test_sentencepiece_needs_a_size(texts):
    with pytest.raises(ValueError, match="size is None"):
        built(texts)


def test_words_are_cut_by_count_and_by_size():
    texts = [b"a b a c\n<unk> a", b"b d"]
    found = built(texts, "words")
    lines = ["<pad>\t0", "<eos>\t1", "<unk>\t1", "a\t3", "b\t2", "c\t1", "d\t1"]
    assert found.content.decode().splitlines() == lines
    assert "7 ids (4 words" in found.description and "100.000% of the 9 words" in found.description
    assert built(texts, "words", min_count=2).content.decode().splitlines() == lines[:5]
    assert built(texts, "words", size=4).content.decode().splitlines() == lines[:4]
    with pytest.raises(UsageError, match="occurs 4 times"):
        built(texts, "words", min_count=4)


def test_characters_are_counted():
    found = built([b"ab a", "\u00e9\n".encode()], "characters")
    assert found.content.decode().splitlines()[3:] == [
        "a\t2",
        "b\t1",
        "\\x20\t1",
        "\u00e9\t1",
        "\\n\t1",
    ]


def test_the_description_counts_bytes_and_unknown_tokens():
    texts = [b"the of x", b"the\nx"]
    said = build.describe_encoding(WordVocabulary(["the", "of"]), texts)
    assert said.startswith("2.167 bytes per token, 6 tokens, 33.333% of them unknown\nThe ")
    assert "does not give back 2 of 2 texts (13 bytes; 2 unknown tokens)" in said
    said = build.describe_encoding(seqio.ByteVocabulary(), texts)
    assert "1.000 bytes per token, 13 tokens" in said and "gives back each of these" in said


def test_first_texts_have_at_most_the_requested_bytes():
    assert build.first_texts([b"abc", b"de", b"f"], 5) == [b"abc", b"de"]
    assert build.first_texts([b"abc"], 2) == [b"abc"]
    long = b"word " * 500_000
    assert len(build.first_texts([long], 1_500_000)) == 1
    assert build.first_texts([], 5) == []
