"""The vocabulary of data sets of lines, in which every line's end is the end token.

The papers that report on WikiText, PTB and the One Billion Words end every line in `<eos>` and
count it as a word. An evaluation by lines gets that from the end token of each text. Training reads
documents of many lines, whose inner ends have to be the same token: so a text is encoded line by
line, whatever the vocabulary, and the end token stands where "\\n" stood. The last line gets none
here; the objective ends documents, or does not.
"""

import tensorflow as tf

from primer.data.vocabularies import batch_tokenize
from primer.data.vocabularies.task_vocabulary import TaskVocabulary


class LineVocabulary(TaskVocabulary):
    """The vocabulary that gin chooses, with the end token for each line feed.

    Args:
        default: what the task has when gin says nothing, as of TaskVocabulary.
    """

    def encode(self, s):
        vocabulary = self.resolve()
        first, *more = s.split("\n")
        ids = list(vocabulary.encode(first))
        for line in more:
            ids += [vocabulary.eos_id, *vocabulary.encode(line)]
        return ids

    def decode(self, ids):
        vocabulary = self.resolve()
        lines = [[]]
        for token in _without_end(list(ids), vocabulary):
            if token == vocabulary.eos_id:
                lines.append([])
            else:
                lines[-1].append(token)
        return "\n".join(vocabulary.decode(line) for line in lines)

    def encode_tf(self, s):
        return self.encode_texts(tf.reshape(s, [1])).flat_values

    def encode_texts(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Many texts at once: [texts] strings -> [texts, (ids)] int32."""
        vocabulary = self.resolve()
        lines = tf.strings.split(texts, "\n")
        ids = batch_tokenize.tokenize_texts(vocabulary, lines.flat_values)
        ends = tf.fill([ids.nrows(), 1], vocabulary.eos_id)
        joined = lines.with_flat_values(tf.concat([ends, ids], 1)).merge_dims(1, 2)
        return joined[:, 1:]  # An end stands before each line, and none before the first.

    # What seqio.Vocabulary declares abstract; the three above go past it. `decode_tf`, which shows
    # what a run predicts, stays that of the chosen vocabulary: most of them stop at the first end.
    _encode, _decode, _encode_tf = encode, decode, encode_tf


def _without_end(ids, vocabulary):
    """Drops the padding at the end of ids, and the end token before it."""
    while ids and ids[-1] == vocabulary.pad_id:
        ids.pop()
    return ids[:-1] if ids and ids[-1] == vocabulary.eos_id else ids
