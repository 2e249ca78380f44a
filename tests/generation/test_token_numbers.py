"""Prompts and texts of token ids."""

import pytest
import seqio

from primer.data.synthetic import SyntheticVocabulary
from primer.data.vocabularies.task_vocabulary import TaskVocabulary
from primer.errors import UsageError
from primer.generation.request import encode_prompts
from primer.generation.token_numbers import TokenNumbers, have_texts

NUMBERS = TokenNumbers(seqio.PassThroughVocabulary(500, eos_id=1))


def test_ids_are_read_and_written_as_numbers():
    assert encode_prompts(NUMBERS, ["17  4 230", ""]) == [[17, 4, 230], []]
    assert NUMBERS.decode([17, 4, 230]) == "17 4 230"
    assert (NUMBERS.vocab_size, NUMBERS.eos_id) == (500, 1)


@pytest.mark.parametrize("prompt", ["17 four", "17 500", "0 17", "-1", "1.5"])
def test_other_words_are_refused(prompt):
    with pytest.raises(UsageError, match="expected token ids from 1 to 499"):
        encode_prompts(NUMBERS, [prompt])


def test_ids_without_texts_are_recognized():
    assert have_texts(TaskVocabulary("bytes")) and have_texts(seqio.ByteVocabulary())
    assert not have_texts(SyntheticVocabulary("ids"))


def test_ids_of_a_tokenizer_are_its_own():
    class Raised(seqio.PassThroughVocabulary):
        id_offset = 1

    numbers = TokenNumbers(Raised(501, eos_id=500))
    assert numbers.encode("0 17 499") == [1, 18, 500]
    assert numbers.decode([1, 18, 500]) == "0 17 499"
    with pytest.raises(UsageError, match="expected token ids from 0 to 499"):
        numbers.encode("500")
