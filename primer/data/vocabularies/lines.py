"""The vocabulary of data sets of lines, which encodes every line end as the end token.

Papers that report on WikiText, PTB and the One Billion Word Benchmark end every line with `<eos>`
and count it as a word. In evaluation by lines, that is the end token of each text. Training reads
documents of many lines, whose line ends must be the same token: a text is encoded line by line, and
the end token replaces "\\n". The last line gets no end token here; the objective adds it or not.
"""

from collections.abc import Iterable

import tensorflow as tf

from primer.data.vocabularies import batch_tokenize
from primer.data.vocabularies.task_vocabulary import TaskVocabulary


class LineVocabulary(TaskVocabulary):
    """The vocabulary that gin chooses, with the end token for each line feed.

    Args:
        default: the task's vocabulary unless gin names another, as for TaskVocabulary.
    """

    def encode(self, s: str) -> list[int]:
        """Returns the ids of a text, with the end token for each line feed."""
        vocabulary = self.resolve()
        first, *more = s.split("\n")
        ids = list(vocabulary.encode(first))
        for line in more:
            ids += [vocabulary.eos_id, *vocabulary.encode(line)]
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of ids; an end token between ids becomes a line feed."""
        vocabulary = self.resolve()
        lines: list[list[int]] = [[]]
        for token in _without_end(list(ids), vocabulary):
            if token == vocabulary.eos_id:
                lines.append([])
            else:
                lines[-1].append(token)
        return "\n".join(vocabulary.decode(line) for line in lines)

    text_of = decode

    def encode_tf(self, s: tf.Tensor) -> tf.Tensor:
        """Returns the int32 ids of one text in the graph."""
        return self.encode_texts(tf.reshape(s, [1])).flat_values

    def encode_texts(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Returns the ids of many texts: [texts] strings -> [texts, (ids)] int32."""
        vocabulary = self.resolve()
        lines = tf.strings.split(texts, "\n")
        ids = batch_tokenize.tokenize_texts(vocabulary, lines.flat_values)
        ends = tf.fill([ids.nrows(), 1], vocabulary.eos_id)
        joined = lines.with_flat_values(tf.concat([ends, ids], 1)).merge_dims(1, 2)
        return joined[:, 1:]  # `joined` has an end token before each line, the first included.

    # The methods that seqio.Vocabulary declares abstract; the three above do not call them.
    # `decode_tf`, which shows a run's predictions, is that of the chosen vocabulary: most of them
    # stop at the first end token.
    _encode, _decode, _encode_tf = encode, decode, encode_tf


def _without_end(ids, vocabulary):
    """Drops trailing padding and the end token before it."""
    while ids and ids[-1] == vocabulary.pad_id:
        ids.pop()
    return ids[:-1] if ids and ids[-1] == vocabulary.eos_id else ids
