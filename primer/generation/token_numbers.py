"""Prompts and texts as token ids, separated by spaces: for models whose ids have no texts."""

from collections.abc import Iterable

import seqio

from primer.errors import UsageError


class TokenNumbers:
    """A vocabulary whose texts are the ids themselves, as "17 4 230".

    The ids of a Hugging Face tokenizer are its own, which may be lower by one than the model's.

    Args:
        vocabulary: the model's vocabulary, for its size and its end token.

    Attributes:
        vocab_size, eos_id, unk_id: the vocabulary's.
        id_offset: what an id is higher in the model than in a text; 1 for some tokenizers.
    """

    def __init__(self, vocabulary: seqio.Vocabulary) -> None:
        self.vocab_size, self.eos_id = vocabulary.vocab_size, vocabulary.eos_id
        self.unk_id = vocabulary.unk_id
        self.id_offset = getattr(vocabulary, "id_offset", 0)

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a text.

        Raises:
            UsageError: a word is no id, or the id of padding, 0.
        """
        return [self._id(word, text) for word in text.split()]

    def _id(self, word, text):
        number = int(word) + self.id_offset if word.isdecimal() else 0
        if not 0 < number < self.vocab_size:
            last = self.vocab_size - 1 - self.id_offset
            raise UsageError(
                f"the prompt {text[:60]!r} has {word!r}; expected token ids from "
                f"{1 - self.id_offset} to {last:,}, separated by spaces, as --ids and models "
                "without a vocabulary of texts read them"
            )
        return number

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of ids."""
        return " ".join(str(number - self.id_offset) for number in ids)


def have_texts(vocabulary: seqio.Vocabulary) -> bool:
    """Returns whether the ids of a vocabulary have texts."""
    resolve = getattr(vocabulary, "resolve", lambda: vocabulary)
    return not isinstance(resolve(), seqio.PassThroughVocabulary)
