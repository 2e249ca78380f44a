"""Many texts at once to token ids, as `encode_tf` gives them one by one.

A call of TensorFlow costs more than the tokens of a sentence do.
"""

import seqio
import tensorflow as tf

from primer.data.vocabularies.characters import CharacterVocabulary
from primer.data.vocabularies.words import WordVocabulary

# Those whose encode_tf also takes a vector of texts.
_OF_MANY = (seqio.SentencePieceVocabulary, CharacterVocabulary, WordVocabulary)


def tokenize_texts(vocabulary: seqio.Vocabulary, texts: tf.Tensor) -> tf.RaggedTensor:
    """The ids of texts, without end tokens.

    Args:
        vocabulary: of a feature of a task.
        texts: [texts] strings.

    Returns:
        [texts, (ids)] int32.
    """
    if hasattr(vocabulary, "encode_texts"):
        return vocabulary.encode_texts(texts)
    vocabulary = vocabulary.resolve() if hasattr(vocabulary, "resolve") else vocabulary
    if isinstance(vocabulary, _OF_MANY):
        return tf.cast(vocabulary.encode_tf(texts), tf.int32)
    return tf.map_fn(
        lambda text: tf.cast(vocabulary.encode_tf(text), tf.int32),
        texts,
        fn_output_signature=tf.RaggedTensorSpec([None], tf.int32, 0),
    )
