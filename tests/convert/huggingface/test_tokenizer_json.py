"""A vocabulary as tokenizer.json has the same ids in Hugging Face's library."""

import io
import json
import random

import pytest
import sentencepiece
import seqio

from primer.convert.huggingface import tokenizer_json
from primer.data.vocabularies import task_vocabulary
from primer.data.vocabularies.characters import CharacterVocabulary
from primer.data.vocabularies.words import WordVocabulary

tokenizers = pytest.importorskip("tokenizers", reason="needs tokenizers: primer[huggingface]")

HARD = [
    *("", " ", "\n", "\n\n\nHello", "a\n\n\nb", " leading", "trailing ", "two  blanks  here"),
    *("tab\tx\r\ny\x0bz", "\u2581 real", "don't 12345 3.14", "a\u00a0b", "\u0000x", "e\u0301"),
    *("\u00e9 \u00fc \u4e2d\u6587 \U0001f600 x", "\ufeffstart", "\U0001f468\u200d\U0001f469"),
]
draw = random.Random(1)
_ALPHABET = "abc \n\t\u00e9\u4e2d\U0001f6000.x"
HARD += ["".join(draw.choices(_ALPHABET, k=40)) for _ in range(60)]
ENGLISH = "The state of the Union is strong. Fellow citizens, we are met as a nation of laws.\n" * 3


VOCABULARIES = {
    "bytes": lambda folder: seqio.ByteVocabulary(),
    "characters": lambda folder: CharacterVocabulary(sorted({*ENGLISH, *HARD[3]})),
    "words": lambda folder: WordVocabulary("The state of the Union is strong.".split(), 2),
    "sotu": lambda folder: seqio.SentencePieceVocabulary(task_vocabulary.SOTU_MODEL, 3),
    "unigram": lambda folder: trained(folder, "unigram", normalization_rule_name="identity"),
    "nfkc": lambda folder: trained(folder, "unigram"),
    "bpe": lambda folder: trained(
        folder,
        "bpe",
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
    ),
}


def trained(folder, model_type, **options):
    """Returns a small SentencePiece vocabulary."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([ENGLISH, *HARD]),
        model_writer=model,
        model_type=model_type,
        vocab_size=400,
        hard_vocab_limit=False,
        byte_fallback=True,
        minloglevel=2,
        **{"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1, **options},
    )
    path = folder / f"{model_type}.model"
    path.write_bytes(model.getvalue())
    return seqio.SentencePieceVocabulary(str(path))


@pytest.mark.parametrize("kind", VOCABULARIES)
def test_ids_are_those_of_the_vocabulary(kind, tmp_path):
    vocabulary = VOCABULARIES[kind](tmp_path)
    content = tokenizer_json.of_vocabulary(vocabulary)
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(content))
    tokenizer.encode_special_tokens = True
    assert tokenizer.get_vocab_size() == vocabulary.vocab_size
    for text in [ENGLISH, *HARD]:
        assert tokenizer.encode(text).ids == vocabulary.encode(text), text
    config = tokenizer_json.config_of(content, vocabulary.eos_id, 128)
    assert tokenizer.token_to_id(config["eos_token"]) == vocabulary.eos_id == 1
    assert tokenizer.token_to_id(config["bos_token"]) == 0
