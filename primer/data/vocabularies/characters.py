"""A vocabulary of characters: text8's 27, or those of any text.

Vocabulary files write invisible characters and the backslash as Python escapes (`\\n`, `\\x20`,
`\\u2028`).
"""

import functools
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from primer.data.vocabularies.special_ids import UNK_ID, SpecialIdsVocabulary

TEXT8 = " abcdefghijklmnopqrstuvwxyz"

# SentencePiece's text for an unknown token.
_UNKNOWN = "\u2047"


def count_characters(texts: Iterable[str]) -> Counter[str]:
    """Counts each character; the keys are in the order of first occurrence."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    return counts


def spell(character: str) -> str:
    """Returns how a vocabulary file writes a character: itself, or an escape if it is invisible."""
    if character == " ":
        return "\\x20"
    if character.isprintable() and character != "\\":
        return character
    return character.encode("unicode_escape").decode()


def unspell(spelling: str) -> str:
    """Returns the character that `spell` wrote; raises ValueError for any other text."""
    escaped = spelling.startswith("\\")
    character = spelling.encode().decode("unicode_escape") if escaped else spelling
    if len(character) != 1:
        raise ValueError(f"{spelling!r} is not one character")
    return character


class CharacterVocabulary(SpecialIdsVocabulary):
    """Maps characters to ids; ids 0, 1 and 2 are padding, end and unknown.

    Padding and end decode as nothing, unknown as a double question mark.

    Args:
        characters: the characters with ids from 3 on.
        extra_ids: number of ids to add at the end; they decode as unknown.
    """

    def __init__(self, characters: Sequence[str] = TEXT8, extra_ids: int = 0) -> None:
        super().__init__(extra_ids)
        self._texts = ["", "", _UNKNOWN, *characters]
        self._ids = {character: i for i, character in enumerate(characters, start=UNK_ID + 1)}

    @property
    def characters(self) -> list[str]:
        """The characters in the order of their ids, which start at 3."""
        return list(self._ids)

    @property
    def _base_vocab_size(self):
        return len(self._texts)

    @functools.cached_property
    def _by_code(self):
        """The code points in ascending order, and the id of each."""
        pairs = sorted((ord(character), i) for character, i in self._ids.items())
        codes, ids = zip(*pairs, strict=True)
        return np.array(codes, np.int32), np.array(ids, np.int32)

    def _encode(self, s):
        return [self._ids.get(character, UNK_ID) for character in s]

    def _encode_tf(self, s):
        text_codes = tf.strings.unicode_decode(s, "UTF-8")
        if isinstance(text_codes, tf.RaggedTensor):
            return text_codes.with_flat_values(self._ids_of(text_codes.flat_values))
        return self._ids_of(text_codes)

    def _ids_of(self, text_codes):
        codes, ids = self._by_code
        places = tf.minimum(tf.searchsorted(codes, text_codes), len(codes) - 1)
        is_known = tf.equal(tf.gather(codes, places), text_codes)
        return tf.where(is_known, tf.gather(ids, places), UNK_ID)

    def _decode(self, ids):
        return "".join(self._texts[i] for i in ids)

    def _decode_tf(self, ids):
        return tf.strings.reduce_join(tf.gather(tf.constant(self._texts), ids), axis=-1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CharacterVocabulary):
            return NotImplemented
        return self._texts == other._texts and self.extra_ids == other.extra_ids

    def __hash__(self) -> int:
        return hash((CharacterVocabulary, len(self._texts), self.extra_ids))
