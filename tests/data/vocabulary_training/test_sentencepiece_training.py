"""SentencePiece models: their kinds and options, and errors that name the command's options."""

import itertools

import pytest
import sentencepiece

from primer.data.vocabulary_training import sentencepiece_training, sotu_vocabulary
from primer.errors import RunError, UsageError


@pytest.fixture(scope="module")
def texts():
    """Six addresses, and one with characters that are rare."""
    addresses = itertools.islice(sotu_vocabulary.training_texts(), 6)
    return [text.encode() for text in [*addresses, "one \u2603 and\n\n  two"]]


def test_unigram_and_bpe_give_different_models(texts):
    assert sentencepiece_training.train(texts, 900, "bpe") != sentencepiece_training.train(
        texts, 900
    )


def test_without_byte_fallback_there_are_no_byte_pieces(texts):
    content = sentencepiece_training.train(texts, 900, byte_fallback=False)
    processor = sentencepiece.SentencePieceProcessor(model_proto=content)
    assert 2 in processor.encode("\u4e2d") and not any(map(processor.is_byte, range(900)))


def test_rare_characters_have_pieces_with_full_coverage(texts):
    def pieces(**coverage):
        content = sentencepiece_training.train(texts, 900, **coverage)
        processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        return {processor.id_to_piece(i) for i in range(900)}

    assert "\u2603" in pieces(character_coverage=1.0) and "\u2603" not in pieces()


@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_error_on_too_little_text_names_a_size_that_works(model):
    few = [b"the quick brown fox jumps over the lazy dog"] * 3
    with pytest.raises(UsageError, match=r"--size is 8192, .* set it to <= (\d+)") as error:
        sentencepiece_training.train(few, 8192, model)
    most = int(str(error.value).split("<= ")[1].split(",")[0])
    assert 261 < most < 400
    sentencepiece_training.train(few, most, model)


def test_too_few_pieces_for_the_characters_are_refused(texts):
    with pytest.raises(UsageError, match=r"--size is 270, .* need (\d+) ids"):
        sentencepiece_training.train(texts, 270)


def test_a_text_without_words_is_refused():
    with pytest.raises(UsageError, match="no word in it"):
        sentencepiece_training.train([b"\n"], 300)


def test_a_text_with_a_reserved_character_is_trained_on(texts):
    """U+2585: SentencePiece would leave out the whole text."""
    said = []
    zebras = [text + " \u2585 zebra zebra\u2585zebra".encode() for text in texts]
    content = sentencepiece_training.train(zebras, 900, say=said.append)
    processor = sentencepiece.SentencePieceProcessor(model_proto=content)
    assert processor.piece_to_id("\u2581zebra") != 2
    assert processor.decode(processor.encode("a\u2585b")) == "a\u2585b"
    assert [line.split(",")[0] for line in said] == [f"{2 * len(texts)} characters U+2585"]


def test_texts_that_are_not_trained_on_are_counted(texts, monkeypatch, capfd):
    said = []
    monkeypatch.setattr(sentencepiece_training.text_sample, "PIECE", 10_000)
    longer = sum(len(text) > 10_000 for text in texts)
    assert 0 < longer < len(texts)
    sentencepiece_training.train([*texts, b"", "tab\tnul\0\u2581".encode()], 600, say=said.append)
    number = len(texts) + 1
    assert said == [f"SentencePiece trains on {number - longer} of the {number} texts"]
    assert not capfd.readouterr().err  # Its log is not the user's.
    said.clear()
    sentencepiece_training.train([text[:5000] for text in texts] + [b""], 500, say=said.append)
    assert not said


def test_other_errors_of_sentencepiece_are_run_errors(monkeypatch):
    def fail(**options):
        raise RuntimeError("out of disk\nsecond line")

    monkeypatch.setattr(sentencepiece.SentencePieceTrainer, "train", fail)
    with pytest.raises(RunError, match="cannot train this vocabulary: out of disk$"):
        sentencepiece_training.train([b"text"], 300)
