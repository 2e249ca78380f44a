"""Builds the file of a vocabulary from texts, and measures a vocabulary on other texts."""

import hashlib
import itertools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import seqio

from primer.data import whole_documents
from primer.data.vocabularies import characters, round_trip, vocabulary_file, words
from primer.data.vocabulary_training import byte_bpe, sentencepiece_training, text_sample
from primer.errors import UsageError


class BuiltVocabulary(NamedTuple):
    """A vocabulary's file with its description.

    Attributes:
        content: the content of the file.
        description: size and kind of the vocabulary, for the user.
        source: the texts that it was built from, for the user.
    """

    content: bytes
    description: str
    source: str

    @property
    def sha256(self) -> str:
        """The checksum of the file."""
        return hashlib.sha256(self.content).hexdigest()


def build_vocabulary(
    texts: Iterable[bytes],
    model: str,
    size: int | None = None,
    min_count: int = 1,
    byte_fallback: bool = True,
    character_coverage: float | None = None,
    sample_bytes: int = 100_000_000,
    say: Callable[[str], None] = print,
) -> BuiltVocabulary:
    """Builds a vocabulary; the same texts always give the same file.

    Args:
        texts: the documents of a training split, UTF-8.
        model: "unigram", "bpe", "byte_bpe", "words" or "characters".
        size: total number of ids; words, characters: None for all of them.
        min_count: words, characters: minimum count of an entry.
        byte_fallback, character_coverage: unigram, bpe: see `sentencepiece_training.train`.
        sample_bytes: unigram, bpe, byte_bpe: bytes of text that are kept in memory and trained on.
        say: prints a line for the user before a long step.

    Raises:
        UsageError: the texts do not give such a vocabulary.
        ValueError: `size` is missing.
    """
    if model not in (*sentencepiece_training.KINDS, byte_bpe.KIND):
        return _build_by_count(texts, model, size, min_count)
    if size is None:
        raise ValueError(f"size is None; expected the number of ids of a {model} vocabulary")
    sample = text_sample.Sample(sample_bytes)
    for text in texts:
        sample.add(text)
    source = _describe_sample(sample)
    if model == byte_bpe.KIND:
        say(f"training {size:,} tokens on {sample.kept / 1e6:,.1f} MB")
        return BuiltVocabulary(
            byte_bpe.train(sample.texts(), size), f"{size:,} tokens (byte-level BPE)", source
        )
    say(f"training {size:,} pieces on {sample.kept / 1e6:,.1f} MB, on one processor")
    content = sentencepiece_training.train(
        sample.texts(),
        size,
        model,
        byte_fallback,
        character_coverage or sentencepiece_training.COVERAGE,
        say,
    )
    fallback = "with byte fallback" if byte_fallback else "without byte fallback"
    return BuiltVocabulary(content, f"{size:,} pieces ({model}, {fallback})", source)


def _describe_sample(sample):
    whole = f"{sample.documents:,} documents, {sample.total / 1e6:,.1f} MB,"
    if sample.is_whole:
        return whole
    return f"a repeatable sample of {sample.kept / 1e6:,.1f} MB of {whole}"


_COUNTERS = {
    "words": (words.count_words, str),
    "characters": (characters.count_characters, characters.spell),
}


def _build_by_count(texts, model, size, min_count):
    count, spell = _COUNTERS[model]
    documents = size_read = 0

    def strings():
        nonlocal documents, size_read
        for text in texts:
            documents += 1
            size_read += len(text)
            yield text.decode()

    counts = count(strings())
    entries = vocabulary_file.most_frequent(counts, min_count, size)
    if not entries:
        raise UsageError(
            f"none of the {model} of {documents:,} documents occurs {min_count} times "
            "(--min_count); add text, or reduce the number"
        )
    covered = sum(counts[entry] for entry in (*entries, vocabulary_file.EOS, vocabulary_file.UNK))
    total = counts.total()
    return BuiltVocabulary(
        vocabulary_file.format_vocabulary(entries, counts, spell),
        f"{len(entries) + len(vocabulary_file.SPECIAL):,} ids ({len(entries):,} {model}, padding, "
        f"end and unknown), which cover {covered / total:.3%} of the {total:,} {model}",
        f"{documents:,} documents, {size_read / 1e6:,.1f} MB,",
    )


def first_texts(texts: Iterable[bytes], limit: int) -> list[bytes]:
    """Returns the first texts of a split, up to `limit` bytes; the last one may be cut."""
    first: list[bytes] = []
    size = 0
    for piece in itertools.chain.from_iterable(map(text_sample.pieces, texts)):
        if size and size + len(piece) > limit:
            break
        first.append(piece)
        size += len(piece)
    return first


def describe_encoding(vocabulary: seqio.Vocabulary, texts: list[bytes]) -> str:
    """Returns bytes per token, unknown tokens and lost texts, of texts encoded as in training."""
    encoded = whole_documents.encode(vocabulary, [text.decode() for text in texts])
    tokens = sum(map(len, encoded))
    unknown = sum(int(np.sum(ids == vocabulary.unk_id)) for ids in encoded)
    size = sum(map(len, texts))
    changed = round_trip.changes_in(vocabulary, texts, encoded).describe("texts")
    return (
        f"{size / max(tokens, 1):.3f} bytes per token, {tokens:,} tokens, "
        f"{unknown / max(tokens, 1):.3%} of them unknown\n"
        + (changed or "The vocabulary gives back each of these texts.")
    )
