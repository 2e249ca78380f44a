"""Words between white space, the rare ones unknown: the vocabularies of WikiText-103, LM1B, PTB.

As in Transformer-XL (Dai et al. 2019, https://arxiv.org/abs/1901.02860) a text is split at white
space and every line ends in `<eos>`; a word of the text that is written `<unk>` is the unknown one.
`<eos>` is id 1, T5's end token, so that a line's end and a document's are one and the same token.
Of white space only the line ends are kept: decoding puts one blank between two words.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Sequence

import seqio
import tensorflow as tf

from primer.data.vocabularies import vocabulary_file
from primer.data.vocabularies.string_lookup import StringLookup

PAD_ID, EOS_ID, UNK_ID = 0, 1, 2


def split_words(text: str) -> list[bytes]:
    """The words of a text, `<eos>` for each line end.

    White space is ASCII's: a no-break space is part of a word, as it is in the graph.
    """
    return text.encode().replace(b"\n", b" <eos> ").split()


def count_words(texts: Iterable[str]) -> Counter:
    """How often each word occurs, `<eos>` and `<unk>` among them, in the order of the texts."""
    counts = Counter()
    for text in texts:
        counts.update(split_words(text))
    return Counter({word.decode(): number for word, number in counts.items()})


class WordVocabulary(seqio.Vocabulary):
    """Word -> id; ids 0, 1 and 2 are padding, `<eos>` and `<unk>`.

    Decoding goes on past `<eos>`, which is a line's end here. A number of ids that no word has,
    `extra_ids`, may follow the words; they decode as unknown.

    Args:
        words: those with the ids from 3 on.
        extra_ids: ids to add at the end.
    """

    def __init__(self, words: Sequence[str], extra_ids: int = 0):
        super().__init__(extra_ids)
        self._words = [vocabulary_file.PAD, vocabulary_file.EOS, vocabulary_file.UNK, *words]
        # A word of the text that is written <pad> is no padding.
        self._ids = {word.encode(): i for i, word in enumerate(self._words) if i != PAD_ID}

    @property
    def words(self) -> list[str]:
        """The words in the order of their ids, the three special ones first."""
        return self._words

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
        return len(self._words)

    @functools.cached_property
    def _lookup(self):
        return StringLookup(self._ids, UNK_ID)

    def _encode(self, s):
        return [self._ids.get(word, UNK_ID) for word in split_words(s)]

    def _encode_tf(self, s):
        words = tf.strings.split(tf.strings.regex_replace(s, "\n", f" {vocabulary_file.EOS} "))
        if isinstance(words, tf.RaggedTensor):
            return words.with_flat_values(self._lookup(words.flat_values))
        return self._lookup(words)

    def decode(self, ids):
        """The text of ids, through all its lines."""
        if hasattr(ids, "numpy"):
            ids = ids.numpy().tolist()
        return self._decode([i if i < self._base_vocab_size else UNK_ID for i in ids])

    def _decode(self, ids):
        text = " ".join("\n" if i == EOS_ID else self._words[i] for i in ids if i != PAD_ID)
        return text.replace(" \n", "\n").replace("\n ", "\n")

    def decode_tf(self, ids):
        """[..., length] ids -> [...] texts, through all their lines."""
        return self._decode_tf(tf.where(ids < self._base_vocab_size, ids, UNK_ID))

    def _decode_tf(self, ids):
        shown = tf.constant(["", "\n", *self._words[UNK_ID:]])
        text = tf.strings.reduce_join(tf.gather(shown, ids), axis=-1, separator=" ")
        text = tf.strings.regex_replace(text, "(^ +)|( +$)", "")
        text = tf.strings.regex_replace(text, " *\n *", "\n")
        return tf.strings.regex_replace(text, " +", " ")

    def __eq__(self, other):
        if not isinstance(other, WordVocabulary):
            return NotImplemented
        return self._words == other._words and self.extra_ids == other.extra_ids

    def __hash__(self):
        return hash((WordVocabulary, len(self._words), self.extra_ids))

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_lookup"}
