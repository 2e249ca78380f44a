"""Characters as tokens: text8's 27, or those of any text.

In a file every character that cannot be seen is spelt as Python spells it (`\\n`, `\\x20`,
`\\u2028`), and so is the backslash.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import seqio
import tensorflow as tf

PAD_ID, EOS_ID, UNK_ID = 0, 1, 2
TEXT8 = " abcdefghijklmnopqrstuvwxyz"

# What SentencePiece writes for a token that it does not know.
_UNKNOWN = "\u2047"


def count_characters(texts: Iterable[str]) -> Counter:
    """How often each character occurs, in the order of the texts."""
    counts = Counter()
    for text in texts:
        counts.update(text)
    return counts


def spell(character: str) -> str:
    """The character, or how it is written where it could not be seen."""
    if character == " ":
        return "\\x20"
    if character.isprintable() and character != "\\":
        return character
    return character.encode("unicode_escape").decode()


def unspell(spelling: str) -> str:
    """The character of its spelling; raises ValueError where it is not one."""
    escaped = spelling.startswith("\\")
    character = spelling.encode().decode("unicode_escape") if escaped else spelling
    if len(character) != 1:
        raise ValueError(f"{spelling!r} is not one character")
    return character


class CharacterVocabulary(seqio.Vocabulary):
    """Character -> id; ids 0, 1 and 2 are padding, end and unknown.

    Padding and end decode as nothing, unknown as a double question mark.

    Args:
        characters: those with the ids from 3 on.
        extra_ids: ids to add at the end; they decode as unknown.
    """

    def __init__(self, characters: Sequence[str] = TEXT8, extra_ids: int = 0):
        super().__init__(extra_ids)
        self._shown = ["", "", _UNKNOWN, *characters]
        self._ids = {character: i for i, character in enumerate(characters, start=UNK_ID + 1)}

    @property
    def characters(self) -> list[str]:
        """The characters in the order of their ids, from 3 on."""
        return list(self._ids)

    @property
    def bos_id(self):
        return None

    @property
    def eos_id(self):
        return EOS_ID

    @property
    def unk_id(self):
        return UNK_ID

    @property
    def _base_vocab_size(self):
        return len(self._shown)

    @functools.cached_property
    def _by_code(self):
        """Code points in rising order, and the id of each."""
        pairs = sorted((ord(character), i) for character, i in self._ids.items())
        codes, ids = zip(*pairs, strict=True)
        return np.array(codes, np.int32), np.array(ids, np.int32)

    def _encode(self, s):
        return [self._ids.get(character, UNK_ID) for character in s]

    def _encode_tf(self, s):
        found = tf.strings.unicode_decode(s, "UTF-8")
        if isinstance(found, tf.RaggedTensor):
            return found.with_flat_values(self._ids_of(found.flat_values))
        return self._ids_of(found)

    def _ids_of(self, found):
        codes, ids = self._by_code
        places = tf.minimum(tf.searchsorted(codes, found), len(codes) - 1)
        return tf.where(tf.equal(tf.gather(codes, places), found), tf.gather(ids, places), UNK_ID)

    def _decode(self, ids):
        return "".join(self._shown[i] for i in ids)

    def _decode_tf(self, ids):
        return tf.strings.reduce_join(tf.gather(tf.constant(self._shown), ids), axis=-1)

    def __eq__(self, other):
        if not isinstance(other, CharacterVocabulary):
            return NotImplemented
        return self._shown == other._shown and self.extra_ids == other.extra_ids

    def __hash__(self):
        return hash((CharacterVocabulary, len(self._shown), self.extra_ids))
