"""Compares texts with what a vocabulary gives back of them: the text of their token ids.

A model is trained and scored on ids. Where they do not give back the text, as for a character that
is unknown, or U+2581, which SentencePiece reads as a blank, the loss is that of another text. Only
the words of a vocabulary of words are compared: by definition it keeps no other white space.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import seqio

from primer.data.vocabularies.characters import CharacterVocabulary
from primer.data.vocabularies.huggingface import HuggingFaceVocabulary
from primer.data.vocabularies.lines import LineVocabulary
from primer.data.vocabularies.words import WordVocabulary, split_words

_SHOWN_BEFORE, _SHOWN = 12, 24  # Bytes of an example before the difference, and in all.

# (text, ids) -> two byte strings, equal if the vocabulary gives back the text.
Comparison = Callable[[bytes, np.ndarray], tuple[bytes, bytes]]


@dataclasses.dataclass(frozen=True)
class Changes:
    """What a vocabulary changes in texts.

    Attributes:
        documents: number of texts.
        changed: number of texts that it does not give back.
        changed_bytes: bytes of these texts.
        unknown: number of unknown tokens in all texts.
        example: a piece of the first such text, and what comes back of it; None without one.
    """

    documents: int = 0
    changed: int = 0
    changed_bytes: int = 0
    unknown: int = 0
    example: tuple[str, str] | None = None

    def __add__(self, other: "Changes") -> "Changes":
        """Returns the changes of both sets of texts."""
        return Changes(
            self.documents + other.documents,
            self.changed + other.changed,
            self.changed_bytes + other.changed_bytes,
            self.unknown + other.unknown,
            self.example or other.example,
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Changes":
        """Returns the changes of a `dataclasses.asdict`, also after JSON."""
        example = data["example"]
        return cls(**{**data, "example": tuple(example) if example else None})

    def describe(self, unit: str = "documents") -> str | None:
        """Returns a sentence on the changes, or None if there are none."""
        if not self.changed:
            return None
        unknown = f"; {self.unknown:,} unknown tokens" if self.unknown else ""
        before, after = self.example or ("", "")
        return (
            f"The vocabulary does not give back {self.changed:,} of {self.documents:,} {unit} "
            f"({self.changed_bytes:,} bytes{unknown}): {before!r} becomes {after!r}."
        )


class RoundTrip:
    """Sums up what a vocabulary changes in texts.

    Args:
        vocabulary: the vocabulary that has tokenized the texts.

    Attributes:
        changes: the sum over all texts so far.
    """

    def __init__(self, vocabulary: seqio.Vocabulary) -> None:
        self._compare = _comparison(vocabulary)
        self._unknown = vocabulary.unk_id
        self.changes = Changes()

    def add(self, texts: Sequence[bytes], ids: np.ndarray, ends: np.ndarray) -> Changes:
        """Adds texts, and returns what is changed in them.

        Args:
            texts: the tokenizer's input.
            ids: their ids, joined, without end tokens, [tokens].
            ends: where each text's ids begin, and the last one's end, [texts + 1].
        """
        changes = Changes(len(texts))
        if self._compare:
            unknown = int(np.count_nonzero(ids == self._unknown))
            changes = Changes(len(texts), unknown=unknown)
            for text, start, end in zip(texts, ends, ends[1:], strict=False):
                expected, found = self._compare(text, ids[start:end])
                if expected != found:
                    changes += Changes(0, 1, len(text), 0, _example(expected, found))
        self.changes += changes
        return changes


def changes_in(
    vocabulary: seqio.Vocabulary, texts: Sequence[bytes], ids: Sequence[np.ndarray]
) -> Changes:
    """Returns what a vocabulary changes in texts, given the ids of each."""
    ends = np.cumsum([0, *map(len, ids)])
    joined = np.concatenate([np.zeros([0], np.int32), *ids])
    return RoundTrip(vocabulary).add(texts, joined, ends)


def _example(expected, found):
    """The first difference with the text before it."""
    pairs = enumerate(zip(expected, found, strict=False))
    place = next((i for i, (a, b) in pairs if a != b), min(len(expected), len(found)))
    shown = slice(max(0, place - _SHOWN_BEFORE), max(0, place - _SHOWN_BEFORE) + _SHOWN)
    before, after = (text[shown].decode("utf-8", "ignore") for text in (expected, found))
    return before, after


def _comparison(vocabulary) -> Comparison | None:
    """The comparison for a vocabulary; None if its ids are the bytes of any text."""
    resolved = vocabulary.resolve() if hasattr(vocabulary, "resolve") else vocabulary
    if isinstance(resolved, seqio.ByteVocabulary):
        return None
    line_end = resolved.eos_id if isinstance(vocabulary, LineVocabulary) else None
    if isinstance(resolved, WordVocabulary):
        return _compare_words(resolved)
    if isinstance(resolved, HuggingFaceVocabulary):
        return _compare_decoded(resolved, line_end)
    if isinstance(resolved, CharacterVocabulary):
        return _compare_pieces(_character_pieces(resolved), False, False, line_end)
    if isinstance(resolved, seqio.SentencePieceVocabulary):
        return _compare_sentencepiece(resolved, line_end)
    return lambda text, ids: (text, vocabulary.decode(ids.tolist()).encode())


def _compare_words(vocabulary):
    words = np.array([word.encode() for word in vocabulary.words], dtype=object)

    def compare(text, ids):
        return b" ".join(split_words(text)), b" ".join(words[ids].tolist())

    return compare


def _compare_decoded(vocabulary, line_end):
    def compare(text, ids):
        if line_end is None:
            return text, vocabulary.text_of(ids).encode()
        lines = np.split(ids, np.flatnonzero(ids == line_end))
        lines = [lines[0], *(line[1:] for line in lines[1:])]
        return text, "\n".join(map(vocabulary.text_of, lines)).encode()

    return compare


def _character_pieces(vocabulary):
    return [vocabulary.decode([number]).encode() for number in range(vocabulary.vocab_size)]


def _compare_sentencepiece(vocabulary, line_end):
    """Joins pieces as SentencePiece's decoder, whose time grows with the square of the length."""
    from sentencepiece import sentencepiece_model_pb2

    spec = sentencepiece_model_pb2.ModelProto.FromString(vocabulary.sp_model)
    normal = spec.normalizer_spec
    processor = vocabulary.tokenizer
    is_usual = not (
        spec.trainer_spec.treat_whitespace_as_suffix
        or spec.denormalizer_spec.precompiled_charsmap
        or not normal.escape_whitespaces
    )
    if not is_usual:
        return lambda text, ids: (text, processor.decode(ids.tolist()).encode())
    pieces = [_surface(processor, number) for number in range(processor.get_piece_size())]
    has_prefix = normal.add_dummy_prefix or normal.remove_extra_whitespaces
    return _compare_pieces(pieces, has_prefix, normal.remove_extra_whitespaces, line_end)


def _surface(processor, number):
    """The bytes of one piece in a decoded text."""
    piece = processor.id_to_piece(number)
    if processor.is_byte(number):
        return bytes([int(piece[3:5], 16)])  # <0x41>
    if processor.is_control(number):
        return b""
    if processor.is_unknown(number):
        return processor.decode([number]).encode()
    return piece.replace("\u2581", " ").encode()


def _compare_pieces(pieces, has_prefix, is_stripped, line_end):
    """A comparison of texts with joined pieces.

    Args:
        pieces: the bytes of each id.
        has_prefix: whether tokenization puts a blank before a text.
        is_stripped: whether it removes all other blanks there.
        line_end: the id that stands for a line feed, of a LineVocabulary; None otherwise.
    """
    table = np.array([*pieces, None], dtype=object)[:-1]  # numpy would cut off zero bytes.
    if line_end is not None:
        table[line_end] = b"\n"

    def compare(text, ids):
        found = b"".join(table[ids].tolist())
        if has_prefix:
            found = found.lstrip(b" ") if is_stripped else found.removeprefix(b" ")
            if line_end is not None:  # Each line is tokenized by itself.
                found = found.replace(b"\n ", b"\n")
        return text, found

    return compare
