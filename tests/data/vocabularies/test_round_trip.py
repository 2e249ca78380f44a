"""Texts that a vocabulary does not give back are found, as decoding each text would find them."""

import dataclasses
import json

import gin
import numpy as np
import pytest
import seqio

from primer.data import whole_documents
from primer.data.vocabularies import round_trip
from primer.data.vocabularies.characters import CharacterVocabulary
from primer.data.vocabularies.lines import LineVocabulary
from primer.data.vocabularies.task_vocabulary import TaskVocabulary
from primer.data.vocabularies.words import WordVocabulary

TEXTS = [
    "plain words",
    "",
    " ",
    "  two blanks  ",
    " leading\nline\n\n end \n",
    "under\u2581score",
    "\u2581 at the start",
    "full\u2585block \u2047 <0x41></s><unk>",
    "nul\0 tab\t \u6f22 \ufb01ne \uff21 caf\u00e9 cafe\u0301 \u200b",
]


def sentencepiece_vocabulary(path, **settings):
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["plain words of a small text", "two lines and an end"] * 20),
        model_prefix=str(path / "small"),
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
        **settings,
    )
    return seqio.SentencePieceVocabulary(str(path / "small.model"), 10)


@pytest.mark.parametrize(
    "settings",
    [
        {"vocab_size": 25},  # T5's: NFKC, without extra blanks.
        {"vocab_size": 24, "normalization_rule_name": "identity", "add_dummy_prefix": False},
        {"vocab_size": 280, "byte_fallback": True, "remove_extra_whitespaces": False},
        {"vocab_size": 25, "treat_whitespace_as_suffix": True},
        None,
    ],
    ids=["t5", "no prefix", "bytes", "suffix", "sotu"],
)
def test_the_comparison_is_with_the_decoded_text(tmp_path, settings):
    vocabulary = TaskVocabulary("sotu")
    if settings:
        vocabulary = sentencepiece_vocabulary(tmp_path, **settings)
    ids = whole_documents.encode(vocabulary, TEXTS)
    decoded = [vocabulary.decode(own.tolist()) for own in ids]
    changed = [text for text, back in zip(TEXTS, decoded, strict=True) if text != back]
    assert 0 < len(changed) < len(TEXTS)
    for text, own in zip(TEXTS, ids, strict=True):
        found = round_trip.changes_in(vocabulary, [text.encode()], [own])
        assert found.changed == (text in changed), text
    found = round_trip.changes_in(vocabulary, [text.encode() for text in TEXTS], ids)
    assert found.changed == len(changed)
    assert found.changed_bytes == sum(len(text.encode()) for text in changed)
    assert found.unknown == sum(int(np.sum(own == vocabulary.unk_id)) for own in ids)


def changes(vocabulary, *texts):
    contents = [text.encode() for text in texts]
    return round_trip.changes_in(vocabulary, contents, whole_documents.encode(vocabulary, texts))


def test_the_own_vocabulary_changes_one_character_only():
    """As its documentation says: all texts are given back, but for U+2581."""
    vocabulary = TaskVocabulary("sotu")
    assert not changes(vocabulary, *(text for text in TEXTS if "\u2581" not in text)).changed
    found = changes(vocabulary, "so many", "under\u2581score")
    assert found.describe() == (
        "The vocabulary does not give back 1 of 2 documents (13 bytes): 'under\u2581score' becomes "
        "'under score'."
    )


def test_bytes_are_given_back():
    assert changes(seqio.ByteVocabulary(), *TEXTS).describe() is None


def test_characters_are_given_back_unless_they_are_unknown():
    found = changes(CharacterVocabulary(), "plain words", "Plain words", "caf\u00e9")
    assert (found.changed, found.unknown, found.documents) == (2, 2, 3)


def test_words_are_compared_without_the_white_space_between_them():
    vocabulary = WordVocabulary(["the", "end"])
    assert not changes(vocabulary, " the  end\n\nthe\r\n", "the <unk> <eos> end").changed
    found = changes(vocabulary, "the lobster", "the <pad>", "the end")
    assert (found.changed, found.unknown) == (2, 2)
    assert found.example == ("the lobster", "the <unk>")


@pytest.mark.parametrize("name", ["sotu", "characters", "words"])
def test_line_ends_that_are_end_tokens_are_given_back(name, tmp_path):
    (tmp_path / "words").write_text("the\nend\n")
    gin.bind_parameter("task_vocabulary.name", name)
    if name == "words":
        gin.bind_parameter("task_vocabulary.model_file", str(tmp_path / "words"))
    vocabulary = LineVocabulary("sotu")
    assert not changes(vocabulary, "the end\n\n end\nthe", "\nthe\n", "").changed
    assert changes(vocabulary, "the\n\u2581").changed


def test_sums_survive_json():
    found = changes(TaskVocabulary("sotu"), "a\u2581b", "c")
    again = round_trip.Changes.from_dict(json.loads(json.dumps(dataclasses.asdict(found))))
    assert again == found and found + again == dataclasses.replace(
        found, documents=4, changed=2, changed_bytes=10
    )
    assert round_trip.Changes().describe() is None
