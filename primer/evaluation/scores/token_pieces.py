"""What a token looks like: the piece of text that its id stands for.

SentencePiece's pieces are shown as its model has them, with "▁" for a space; of bytes, those that
are no character of their own as "<0xE9>"; the end token as "</s>", whatever the vocabulary.
"""

import seqio

END = "</s>"


class Pieces:
    """Ids to strings, each looked up once.

    Args:
        vocabulary: a seqio vocabulary.
    """

    def __init__(self, vocabulary):
        self._vocabulary = vocabulary.resolve() if hasattr(vocabulary, "resolve") else vocabulary
        self._known = {vocabulary.eos_id: END}

    def __call__(self, ids) -> list:
        """The pieces of a list of ids."""
        known = self._known
        for token in set(ids) - known.keys():
            known[token] = self._piece(token)
        return [known[token] for token in ids]

    def _piece(self, token):
        vocabulary = self._vocabulary
        if isinstance(vocabulary, seqio.ByteVocabulary):
            return _byte(token, vocabulary)
        if isinstance(vocabulary, seqio.SentencePieceVocabulary):
            if token < vocabulary.tokenizer.get_piece_size():
                return vocabulary.tokenizer.id_to_piece(token)
        return vocabulary.decode([token])


def _byte(token, vocabulary):
    """Ids from 3 on are bytes; 0 to 2 are special."""
    text = vocabulary.decode([token])
    if len(text) == 1 and text.isascii() and text.isprintable():
        return text
    return f"<0x{token - 3:02X}>" if 3 <= token < 259 else text
