"""Which ids a vocabulary gives, as a text that a manifest can keep."""

import seqio


def identity(vocabulary: seqio.Vocabulary) -> str:
    """A text that is equal for vocabularies that give every text the same ids."""
    if hasattr(vocabulary, "identity"):
        return vocabulary.identity()
    return f"{type(vocabulary).__name__}, {vocabulary.vocab_size} ids"
