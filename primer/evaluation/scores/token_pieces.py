"""The string that a token id stands for, as `primer score --tokens` prints it.

Pieces of SentencePiece and of Hugging Face's tokenizers are shown as their files have them, with
"▁" or "Ġ" for a space. Bytes that are not a printable ASCII character are shown as "<0xE9>", and
the end token as "</s>" for every vocabulary.
"""

from collections.abc import Sequence

import seqio

from primer.data.vocabularies.huggingface import HuggingFaceVocabulary

END = "</s>"


class TokenPieces:
    """Maps token ids to strings, and remembers the strings.

    Args:
        vocabulary: the vocabulary of the ids.

    Attributes:
        id_offset: what an id is higher than in the vocabulary's own file.
    """

    def __init__(self, vocabulary: seqio.Vocabulary) -> None:
        self._vocabulary = vocabulary.resolve() if hasattr(vocabulary, "resolve") else vocabulary
        self.id_offset = getattr(vocabulary, "id_offset", 0)
        self._pieces = {vocabulary.eos_id: END}

    def __call__(self, ids: Sequence[int]) -> list[str]:
        """Returns the piece of each id."""
        pieces = self._pieces
        for token in set(ids) - pieces.keys():
            pieces[token] = self._piece(token)
        return [pieces[token] for token in ids]

    def _piece(self, token):
        vocabulary = self._vocabulary
        if isinstance(vocabulary, seqio.ByteVocabulary):
            return _byte(token, vocabulary)
        if isinstance(vocabulary, seqio.SentencePieceVocabulary):
            if token < vocabulary.tokenizer.get_piece_size():
                return vocabulary.tokenizer.id_to_piece(token)
        if isinstance(vocabulary, HuggingFaceVocabulary):
            return vocabulary.piece(token)
        return vocabulary.decode([token])


def _byte(token, vocabulary):
    """Ids from 3 on are bytes; 0 to 2 are special."""
    text = vocabulary.decode([token])
    if len(text) == 1 and text.isascii() and text.isprintable():
        return text
    return f"<0x{token - 3:02X}>" if 3 <= token < 259 else text
