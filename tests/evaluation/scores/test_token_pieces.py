"""The strings that token ids stand for."""

import json

import pytest
import seqio

from primer.data.vocabularies.huggingface import HuggingFaceVocabulary
from primer.data.vocabularies.task_vocabulary import SOTU_MODEL
from primer.data.vocabularies.tokenizer_files import Definition
from primer.evaluation.scores.token_pieces import TokenPieces
from tests.data.vocabularies import tokenizers_made


def test_pieces_are_those_of_the_vocabulary():
    import sentencepiece

    pieces = TokenPieces(seqio.SentencePieceVocabulary(SOTU_MODEL, 0))
    own = sentencepiece.SentencePieceProcessor(model_file=SOTU_MODEL)
    ids = own.encode("The state of our Union, caf\u00e9")
    assert pieces([*ids, 1]) == [
        *own.encode("The state of our Union, caf\u00e9", out_type=str),
        "</s>",
    ]
    assert TokenPieces(seqio.ByteVocabulary(0))([100, 3 + 10, 3 + 0xC3, 1]) == [
        "a",
        "<0x0A>",
        "<0xC3>",
        "</s>",
    ]


def test_pieces_of_a_tokenizer_are_those_of_its_file():
    pytest.importorskip("tokenizers", reason="needs the extra huggingface")
    definition = Definition(
        json.dumps(tokenizers_made.golden()["gpt2"]["tokenizer"]), "<|endoftext|>", False
    )
    vocabulary = HuggingFaceVocabulary(definition)
    pieces = TokenPieces(vocabulary)
    assert pieces([*vocabulary.encode("! the é"), 401]) == ["!", "Ġthe", "Ġ", "Ã", "©", "</s>"]
    assert pieces.id_offset == 1
