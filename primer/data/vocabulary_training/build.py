"""From texts to the file of a vocabulary, and what that vocabulary does with other texts."""

import hashlib
import itertools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import seqio

from primer.data import whole_documents
from primer.data.vocabularies import characters, vocabulary_file, words
from primer.data.vocabulary_training import sentencepiece_training, text_sample
from primer.errors import UsageError


class BuiltVocabulary(NamedTuple):
    """A vocabulary's file, and what a reader should know of it."""

    content: bytes
    description: str
    source: str

    @property
    def sha256(self) -> str:
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
    """Makes a vocabulary, the same one each time from the same texts.

    Args:
        texts: the documents of a training split, UTF-8.
        model: "unigram", "bpe", "words" or "characters".
        size: ids in all; None for all words or characters.
        min_count: words, characters: the least count of an entry.
        byte_fallback, character_coverage: unigram, bpe: see `sentencepiece_training.train`.
        sample_bytes: unigram, bpe: how much of the text is kept in memory and trained on.
        say: takes a line for the user where something takes long.

    Raises:
        UsageError: the texts give no such vocabulary.
    """
    if model not in sentencepiece_training.KINDS:
        return _counted(texts, model, size, min_count)
    sample = text_sample.Sample(sample_bytes)
    for text in texts:
        sample.add(text)
    source = _source(sample)
    say(f"training {size:,} pieces on {sample.kept / 1e6:,.1f} MB, on one processor")
    content = sentencepiece_training.train(
        sample.texts(),
        size,
        model,
        byte_fallback,
        character_coverage or sentencepiece_training.COVERAGE,
    )
    fallback = "with byte fallback" if byte_fallback else "without byte fallback"
    return BuiltVocabulary(content, f"{size:,} pieces ({model}, {fallback})", source)


def _source(sample):
    whole = f"{sample.documents:,} documents, {sample.read / 1e6:,.1f} MB,"
    if sample.is_whole:
        return whole
    return f"a sample of {sample.kept / 1e6:,.1f} MB, the same each time, of {whole}"


_KINDS = {
    "words": (words.count_words, str),
    "characters": (characters.count_characters, characters.spell),
}


def _counted(texts, model, size, min_count):
    count, spell = _KINDS[model]
    read = [0, 0]

    def strings():
        for text in texts:
            read[0] += 1
            read[1] += len(text)
            yield text.decode()

    counts = count(strings())
    found = vocabulary_file.most_frequent(counts, min_count, size)
    if not found:
        raise UsageError(
            f"none of the {model} of {read[0]:,} documents occurs {min_count} times (--min_count); "
            "give more text, or a smaller number"
        )
    covered = sum(counts[entry] for entry in (*found, vocabulary_file.EOS, vocabulary_file.UNK))
    total = counts.total()
    return BuiltVocabulary(
        vocabulary_file.format_vocabulary(found, counts, spell),
        f"{len(found) + len(vocabulary_file.SPECIAL):,} ids ({len(found):,} {model}, padding, end "
        f"and unknown), which cover {covered / total:.3%} of the {total:,} {model}",
        f"{read[0]:,} documents, {read[1] / 1e6:,.1f} MB,",
    )


def first_texts(texts: Iterable[bytes], limit: int) -> list[bytes]:
    """The first texts of a split up to a number of bytes; the last one may be cut."""
    found, size = [], 0
    for piece in itertools.chain.from_iterable(map(text_sample.pieces, texts)):
        if size and size + len(piece) > limit:
            break
        found.append(piece)
        size += len(piece)
    return found


def describe_encoding(vocabulary: seqio.Vocabulary, texts: list[bytes]) -> str:
    """Bytes per token and the unknown tokens of texts, by the operation that training uses."""
    encoded = whole_documents.encode(vocabulary, [text.decode() for text in texts])
    tokens = sum(map(len, encoded))
    unknown = sum(int(np.sum(ids == vocabulary.unk_id)) for ids in encoded)
    size = sum(map(len, texts))
    return (
        f"{size / max(tokens, 1):.3f} bytes per token, {tokens:,} tokens, "
        f"{unknown / max(tokens, 1):.3%} of them unknown"
    )
