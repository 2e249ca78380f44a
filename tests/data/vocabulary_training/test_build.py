"""Vocabularies made from texts: sizes, special ids, what is lost and what is not."""

import hashlib
import itertools

import pytest
import sentencepiece
import seqio

from primer.data.vocabularies.words import WordVocabulary
from primer.data.vocabulary_training import (
    build,
    raw_texts,
    sentencepiece_training,
    sotu_vocabulary,
)
from primer.errors import UsageError


@pytest.fixture(scope="module")
def texts():
    """Six addresses, and one with characters that are rare."""
    addresses = itertools.islice(sotu_vocabulary.training_texts(), 6)
    return [text.encode() for text in [*addresses, "one \u2603 and\n\n  two"]]


def made(texts, model="unigram", **settings):
    return build.build_vocabulary(texts, model, say=lambda _: None, **settings)


@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_pieces_lose_nothing_and_are_the_same_each_time(texts, model):
    found = made(texts, model, size=900)
    assert made(texts, model, size=900) == found
    assert found.sha256 == hashlib.sha256(found.content).hexdigest()
    processor = sentencepiece.SentencePieceProcessor(model_proto=found.content)
    special = (processor.pad_id(), processor.eos_id(), processor.unk_id(), processor.bos_id())
    assert special == (0, 1, 2, -1) and processor.get_piece_size() == 900
    for text in ("Fellow  citizens:\n\nof the \u4e2d\u56fd\n", " a\tb ", texts[0].decode()):
        ids = processor.encode(text)
        assert processor.decode(ids) == text and 2 not in ids


def test_the_two_kinds_differ(texts):
    assert made(texts, "bpe", size=900).content != made(texts, size=900).content


def test_without_byte_fallback_there_is_room_for_more_pieces(texts):
    found = made(texts, size=900, byte_fallback=False)
    processor = sentencepiece.SentencePieceProcessor(model_proto=found.content)
    assert 2 in processor.encode("\u4e2d") and not any(map(processor.is_byte, range(900)))
    assert "without byte fallback" in found.description


def test_coverage_decides_whether_rare_characters_have_pieces(texts):
    def pieces(coverage):
        content = made(texts, size=900, character_coverage=coverage).content
        processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        return {processor.id_to_piece(i) for i in range(900)}

    assert "\u2603" in pieces(1.0) and "\u2603" not in pieces(None)


def test_the_projects_own_vocabulary_is_made_this_way():
    texts = [text.encode() for text in itertools.islice(sotu_vocabulary.training_texts(), 4)]
    expected = sotu_vocabulary.train([text.decode() for text in texts], 700)
    assert made(texts, size=700, character_coverage=1.0).content == expected


@pytest.mark.slow
def test_a_sample_is_said():
    many = [text.encode() for text in itertools.islice(sotu_vocabulary.training_texts(), 90)]
    whole, part, again = (made(many, size=600, sample_bytes=n) for n in (10**9, 10**5, 10**5))
    assert whole.source.startswith("90 documents")
    assert part.source.startswith("a repeatable sample of ") and "of 90 documents" in part.source
    assert whole.content != part.content == again.content


@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_too_little_text_names_the_size_that_would_do(model):
    few = [b"the quick brown fox jumps over the lazy dog"] * 3
    with pytest.raises(UsageError, match=r"--size is 8192, .* set it to <= (\d+)") as error:
        made(few, model, size=8192)
    most = int(str(error.value).split("<= ")[1].split(",")[0])
    assert 261 < most < 400
    made(few, model, size=most)


def test_too_few_pieces_for_the_characters_are_refused(texts):
    with pytest.raises(UsageError, match=r"--size is 270, .* need (\d+) ids"):
        made(texts, size=270)


@pytest.mark.parametrize("found", [[], [b"\n"]])
def test_no_word_at_all_is_refused(found):
    with pytest.raises(UsageError, match="no word in it"):
        made(found, size=300)
    with pytest.raises(UsageError, match="none of the words of"):
        made(found, "words")


def test_words_are_cut_by_count_and_by_size():
    texts = [b"a b a c\n<unk> a", b"b d"]
    found = made(texts, "words")
    lines = ["<pad>\t0", "<eos>\t1", "<unk>\t1", "a\t3", "b\t2", "c\t1", "d\t1"]
    assert found.content.decode().splitlines() == lines
    assert "7 ids (4 words" in found.description and "100.000% of the 9 words" in found.description
    assert made(texts, "words", min_count=2).content.decode().splitlines() == lines[:5]
    assert made(texts, "words", size=4).content.decode().splitlines() == lines[:4]
    with pytest.raises(UsageError, match="occurs 4 times"):
        made(texts, "words", min_count=4)


def test_characters_are_counted():
    found = made([b"ab a", "\u00e9\n".encode()], "characters")
    assert found.content.decode().splitlines()[3:] == [
        "a\t2",
        "b\t1",
        "\\x20\t1",
        "\u00e9\t1",
        "\\n\t1",
    ]


def test_the_measure_counts_bytes_and_unknown_tokens():
    texts = [b"the of x", b"the\nx"]
    said = build.describe_encoding(WordVocabulary(["the", "of"]), texts)
    assert said == "2.167 bytes per token, 6 tokens, 33.333% of them unknown"
    assert "1.000 bytes per token, 13 tokens" in build.describe_encoding(
        seqio.ByteVocabulary(), texts
    )


def test_the_beginning_of_a_split_is_not_longer_than_asked():
    assert build.first_texts([b"abc", b"de", b"f"], 5) == [b"abc", b"de"]
    assert build.first_texts([b"abc"], 2) == [b"abc"]
    long = b"word " * 500_000
    assert len(build.first_texts([long], 1_500_000)) == 1
    assert build.first_texts([], 5) == []


def test_texts_are_those_of_the_split_and_ask_for_no_vocabulary():
    import gin

    import primer.data.tasks  # noqa: F401

    gin.bind_parameter("task_vocabulary.name", "words")  # Without a file: not there yet.
    raw_texts.check_split("sotu", "train")
    assert [text.decode() for text in raw_texts.split_texts("sotu", "train")] == list(
        sotu_vocabulary.training_texts()
    )
    with pytest.raises(UsageError, match="no split 'tests'"):
        raw_texts.check_split("sotu", "tests")
    assert sentencepiece_training.KINDS == ("unigram", "bpe")


def test_half_a_character_at_a_border_is_left_out():
    whole = "caf\u00e9 \u2603".encode()
    assert raw_texts._drop_cut_characters(whole) == whole
    assert raw_texts._drop_cut_characters(whole[:-1]) == "caf\u00e9 ".encode()
    assert raw_texts._drop_cut_characters(whole[4:]) == " \u2603".encode()
    assert raw_texts._drop_cut_characters(b"") == b""
    with pytest.raises(UsageError, match="is not UTF-8"):
        raw_texts._drop_cut_characters(b"caf\xe9 au lait")


def test_a_task_whose_vocabulary_cannot_be_read_gives_its_texts(tfds_dir):
    """LM1B's is T5's, in a bucket: one makes a vocabulary because one has none."""
    import primer.data.tasks  # noqa: F401

    name = "lm1b_autoregressive_language_modeling"
    raw_texts.check_split(name, "train", tfds_dir)
    texts = list(raw_texts.split_texts(name, "train"))
    assert len(texts) > 10 and not set(texts) & set(raw_texts.split_texts(name, "validation"))
    assert "words" in made(texts, "words", min_count=2).description
    with pytest.raises(UsageError, match="no prepared data"):
        raw_texts.check_split(name, "train", str(tfds_dir) + "/nowhere")
