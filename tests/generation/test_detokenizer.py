"""Tokens become text piece by piece: no broken character, nothing of a stop string."""

import pytest
import seqio

from primer.data.vocabularies import task_vocabulary
from primer.generation.detokenizer import Detokenizer

BYTES = seqio.ByteVocabulary(0)


def sotu():
    return seqio.SentencePieceVocabulary(task_vocabulary.SOTU_MODEL, 0)


def pieces(stream, ids):
    found = [stream.push(i) for i in ids]
    return [*found, stream.finish()]


@pytest.mark.parametrize("make", [lambda: BYTES, sotu], ids=["bytes", "sentencepiece"])
@pytest.mark.parametrize(
    "text", ["The state of the Union is strong.", "naïve café – 日本 🎉 end", "a  b\n\nc"]
)
def test_pieces_join_to_the_text(make, text):
    vocabulary = make()
    found = pieces(Detokenizer(vocabulary), vocabulary.encode(text))
    assert "".join(found) == vocabulary.decode(vocabulary.encode(text))
    assert not any("\ufffd" in piece for piece in found)


def test_a_character_is_returned_with_its_last_byte():
    found = pieces(Detokenizer(BYTES), BYTES.encode("é!"))
    assert found == ["", "é", "!", ""]


def test_an_incomplete_character_at_the_end_is_one_replacement_character():
    stream = Detokenizer(BYTES)
    assert pieces(stream, BYTES.encode("aé")[:2])[-1] in ("\ufffd", "")


def test_spaces_between_the_prompt_and_its_continuation_are_kept():
    vocabulary = sotu()
    ids = vocabulary.encode("We the people of the United States")
    stream = Detokenizer(vocabulary, ids[:3])
    assert (
        "".join(pieces(stream, ids[3:]))
        == vocabulary.decode(ids)[len(vocabulary.decode(ids[:3])) :]
    )


def test_a_stop_string_ends_the_text_before_it():
    stream = Detokenizer(BYTES, stops=["END", "STOP"])
    found = pieces(stream, BYTES.encode("say ENSTOP more"))
    assert "".join(found) == "say EN" and stream.stopped and stream.text == "say EN"


def test_a_possible_beginning_of_a_stop_string_is_held_back():
    stream = Detokenizer(BYTES, stops=["ab"])
    assert [stream.push(i) for i in BYTES.encode("xaya")] == ["x", "", "ay", ""]
    assert stream.finish() == "a" and not stream.stopped


def test_the_first_of_several_stop_strings_counts():
    stream = Detokenizer(BYTES, stops=["cd", "bcd"])
    assert "".join(pieces(stream, BYTES.encode("abcd"))) == "a"


def test_nothing_is_returned_after_a_stop_string():
    stream = Detokenizer(BYTES, stops=["b"])
    for i in BYTES.encode("ab"):
        stream.push(i)
    assert stream.finish() == "" and stream.text == "a"
