"""Prompts and texts as token ids, separated by spaces: for models whose ids have no texts."""

from collections.abc import Iterable

import seqio

from primer.errors import UsageError


class TokenNumbers:
    """A vocabulary whose texts are the ids themselves, as "17 4 230".

    Args:
        vocabulary: the model's vocabulary, for its size and its end token.

    Attributes:
        vocab_size, eos_id, unk_id: the vocabulary's.
    """

    def __init__(self, vocabulary: seqio.Vocabulary) -> None:
        self.vocab_size, self.eos_id = vocabulary.vocab_size, vocabulary.eos_id
        self.unk_id = vocabulary.unk_id

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a text.

        Raises:
            UsageError: a word is no id, or the id of padding, 0.
        """
        return [self._id(word, text) for word in text.split()]

    def _id(self, word, text):
        if not word.isdecimal() or not 0 < int(word) < self.vocab_size:
            raise UsageError(
                f"the prompt {text[:60]!r} has {word!r}; expected token ids from 1 to "
                f"{self.vocab_size - 1:,}, separated by spaces, as --ids and models without a "
                "vocabulary of texts read them"
            )
        return int(word)

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of ids."""
        return " ".join(map(str, ids))


def have_texts(vocabulary: seqio.Vocabulary) -> bool:
    """Returns whether the ids of a vocabulary have texts."""
    resolve = getattr(vocabulary, "resolve", lambda: vocabulary)
    return not isinstance(resolve(), seqio.PassThroughVocabulary)
