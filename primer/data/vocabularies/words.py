"""A vocabulary of words separated by white space, as papers use for WikiText-103, LM1B and PTB.

As in Transformer-XL (Dai et al. 2019, https://arxiv.org/abs/1901.02860), a text is split at white
space and every line ends with `<eos>`; rare words, and the word `<unk>` of the text, are unknown.
`<eos>` is id 1, T5's end token, so that the end of a line and of a document are the same token. Of
the white space only line ends are kept: decoding puts one blank between two words.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Sequence

import tensorflow as tf

from primer.common import text_lines
from primer.data.vocabularies import vocabulary_file
from primer.data.vocabularies.special_ids import EOS_ID, PAD_ID, UNK_ID, SpecialIdsVocabulary
from primer.data.vocabularies.string_lookup import StringLookup

_LINE_END = "\r\n?|\n"  # As `text_lines` has it, for the graph.


def split_words(text: str | bytes) -> list[bytes]:
    """Returns the words of a text, with `<eos>` for each line end.

    White space is that of ASCII: a no-break space is part of a word, as in the graph.
    """
    content = text.encode() if isinstance(text, str) else text
    return text_lines.with_line_feeds(content).replace(b"\n", b" <eos> ").split()


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Counts each word, including `<eos>` and `<unk>`; keys in the order of first occurrence."""
    counts: Counter[bytes] = Counter()
    for text in texts:
        counts.update(split_words(text))
    return Counter({word.decode(): number for word, number in counts.items()})


class WordVocabulary(SpecialIdsVocabulary):
    """Maps words to ids; ids 0, 1 and 2 are padding, `<eos>` and `<unk>`.

    Decoding continues after `<eos>`, which ends a line here.

    Args:
        words: the words with ids from 3 on.
        extra_ids: number of ids to add at the end; they decode as unknown.
    """

    def __init__(self, words: Sequence[str], extra_ids: int = 0) -> None:
        super().__init__(extra_ids)
        self._words = [vocabulary_file.PAD, vocabulary_file.EOS, vocabulary_file.UNK, *words]
        # The word <pad> of a text is unknown, not padding.
        self._ids = {word.encode(): i for i, word in enumerate(self._words) if i != PAD_ID}

    @property
    def words(self) -> list[str]:
        """The words in the order of their ids, the three special ones first."""
        return self._words

    @property
    def _base_vocab_size(self):
        return len(self._words)

    @functools.cached_property
    def _lookup(self):
        return StringLookup(self._ids, UNK_ID)

    def _encode(self, s):
        return [self._ids.get(word, UNK_ID) for word in split_words(s)]

    def _encode_tf(self, s):
        words = tf.strings.split(tf.strings.regex_replace(s, _LINE_END, f" {vocabulary_file.EOS} "))
        if isinstance(words, tf.RaggedTensor):
            return words.with_flat_values(self._lookup(words.flat_values))
        return self._lookup(words)

    def decode(self, ids: Sequence[int] | tf.Tensor) -> str:
        """Returns the text of ids, including all its lines."""
        if hasattr(ids, "numpy"):
            ids = ids.numpy().tolist()
        return self._decode([i if i < self._base_vocab_size else UNK_ID for i in ids])

    def _decode(self, ids):
        text = " ".join("\n" if i == EOS_ID else self._words[i] for i in ids if i != PAD_ID)
        return text.replace(" \n", "\n").replace("\n ", "\n")

    def decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns texts including all their lines: [..., length] ids -> [...] strings."""
        return self._decode_tf(tf.where(ids < self._base_vocab_size, ids, UNK_ID))

    def _decode_tf(self, ids):
        texts = tf.constant(["", "\n", *self._words[UNK_ID:]])
        text = tf.strings.reduce_join(tf.gather(texts, ids), axis=-1, separator=" ")
        text = tf.strings.regex_replace(text, "(^ +)|( +$)", "")
        text = tf.strings.regex_replace(text, " *\n *", "\n")
        return tf.strings.regex_replace(text, " +", " ")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WordVocabulary):
            return NotImplemented
        return self._words == other._words and self.extra_ids == other.extra_ids

    def __hash__(self) -> int:
        return hash((WordVocabulary, len(self._words), self.extra_ids))

    def __getstate__(self) -> dict[str, object]:
        """Leaves out the lookup, whose arrays are computed again where the object is used."""
        return {name: value for name, value in vars(self).items() if name != "_lookup"}
