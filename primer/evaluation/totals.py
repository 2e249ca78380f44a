"""The total loss of a text, in nats per token, perplexities and bits per byte or character."""

import dataclasses
import math
from typing import Any

import numpy as np

from primer.evaluation.tokenized_split import TokenizedSplit
from primer.evaluation.units import UNITS


@dataclasses.dataclass(frozen=True)
class Totals:
    """The loss of a text and the counts that it is divided by.

    Attributes:
        nats: the sum of -log p over all tokens, end tokens included, over the model's own (padded)
            softmax.
        tokens: tokens of the documents, plus one end token per document; of the protocol masked
            the predicted ones.
        bytes: UTF-8 bytes of the documents before tokenization, plus one per document for its end;
            None where the data set keeps no text.
        words: words of the documents, separated by white space, plus the ends of lines; None
            likewise.
        documents: the number of documents.
        characters: code points of the documents, plus one per document for its end; None likewise.
        end_nats: the part of `nats` that the end tokens have.
        standard_error: of nats_per_token, over documents; nan for a single document.
    """

    nats: float
    tokens: int
    bytes: int | None
    words: int | None
    documents: int
    characters: int | None = None
    end_nats: float = math.nan
    standard_error: float = math.nan

    @property
    def nats_per_token(self) -> float:
        """nats / tokens; not comparable between vocabularies."""
        return self.nats / self.tokens

    @property
    def perplexity_per_token(self) -> float:
        """exp(nats / tokens); not comparable between vocabularies."""
        return _exp(self.nats_per_token)

    @property
    def bits_per_byte(self) -> float:
        """nats / ln 2 / bytes, comparable between vocabularies; nan without text."""
        return self.nats / math.log(2) / self.bytes if self.bytes else math.nan

    @property
    def bits_per_character(self) -> float:
        """nats / ln 2 / characters, comparable between vocabularies; nan without text."""
        return self.nats / math.log(2) / self.characters if self.characters else math.nan

    @property
    def perplexity_per_word(self) -> float:
        """exp(nats / words), comparable between vocabularies; nan without words."""
        return _exp(self.nats / self.words) if self.words else math.nan

    def as_dict(self) -> dict[str, float]:
        """Returns the units, then the counts; nan for what a data set without text lacks."""
        row = {unit: getattr(self, unit) for unit in UNITS} | dataclasses.asdict(self)
        return {key: math.nan if value is None else value for key, value in row.items()}


def document_nats(nats: np.ndarray, text: TokenizedSplit) -> np.ndarray:
    """Returns the loss of each document, [documents] float64.

    Args:
        nats: -log p of each token of the text, [tokens].
        text: the documents.
    """
    if not len(text.lengths):
        return np.zeros([0])
    return np.add.reduceat(nats, text.starts, dtype=np.float64)


def total(nats: np.ndarray, text: TokenizedSplit) -> Totals:
    """Returns the `Totals` of a text, summed in float64; arguments as for `document_nats`."""
    sums = document_nats(nats, text)
    return Totals(
        nats=float(sums.sum()),
        tokens=int(text.counted_lengths.sum()),
        bytes=text.bytes,
        words=text.words,
        documents=len(text.lengths),
        characters=text.characters,
        end_nats=float(np.sum(nats[text.ends], dtype=np.float64)),
        standard_error=standard_error(sums, text.counted_lengths),
    )


def per_document(nats: np.ndarray, text: TokenizedSplit) -> list[Totals]:
    """Returns the `Totals` of each document.

    Args:
        nats: -log p of each token of the text, [tokens].
        text: the documents, with byte, character and word counts.
    """
    ends = np.zeros(len(text.ids))
    ends[text.ends] = nats[text.ends]
    columns: tuple[Any, ...] = (
        document_nats(nats, text),
        text.lengths,
        text.document_bytes,
        text.document_words,
        text.document_characters,
        document_nats(ends, text),
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        Totals(nats, tokens, size, words, 1, characters, end_nats)
        for nats, tokens, size, words, characters, end_nats in rows
    ]


def standard_error(sums: np.ndarray, counts: np.ndarray) -> float:
    """Returns the standard error of sum(sums) / sum(counts) for documents drawn independently.

    Cochran, Sampling Techniques, 3rd ed., 1977, section 6.4, without the finite-population
    correction: the split stands for all text of its kind.

    Args:
        sums: a sum of each document, [documents]: its loss, or the difference of two losses.
        counts: what the sums are divided by, [documents]: its tokens or bytes.

    Returns:
        The standard error; nan for a single document.
    """
    number, total_count = len(sums), counts.sum()
    if number < 2:
        return math.nan
    residuals = sums - sums.sum() / total_count * counts
    return float(np.sqrt(number / (number - 1) * np.sum(residuals**2)) / total_count)


def _exp(value):
    """exp, or infinity where a float overflows (words of an untrained model)."""
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
