"""What was scored, and the same total in the units that people compare."""

import dataclasses
import math

import numpy as np

# Those that need the text that the tokens were made of.
UNITS_OF_TEXT = ("bits_per_byte", "bits_per_character", "perplexity_per_word")
UNITS = ("nats_per_token", "perplexity_per_token", *UNITS_OF_TEXT)


@dataclasses.dataclass(frozen=True)
class Totals:
    """The loss of a text and the counts that it may be divided by.

    Attributes:
        nats: the sum of -log p over all tokens, end tokens included, over the model's own (padded)
            softmax.
        tokens: tokens of the documents, and one end token for each document.
        bytes: UTF-8 bytes of the documents before tokenization, and one for each document's end;
            None where the data set keeps no text.
        words: words of the documents, separated by white space, and of lines their ends; likewise.
        documents: how many there are.
        characters: code points of the documents, and one for each document's end; likewise.
        end_nats: the part of `nats` that the end tokens have.
        standard_error: of nats_per_token, over documents; nan for a single one.
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
        """The mean loss per token of this vocabulary: not comparable between vocabularies."""
        return self.nats / self.tokens

    @property
    def perplexity_per_token(self) -> float:
        """exp(nats / tokens)."""
        return _exp(self.nats_per_token)

    @property
    def bits_per_byte(self) -> float:
        """nats / ln 2 / bytes, which two vocabularies may be compared by; nan without text."""
        return self.nats / math.log(2) / self.bytes if self.bytes else math.nan

    @property
    def bits_per_character(self) -> float:
        """nats / ln 2 / characters, which two vocabularies may be compared by; nan without text."""
        return self.nats / math.log(2) / self.characters if self.characters else math.nan

    @property
    def perplexity_per_word(self) -> float:
        """exp(nats / words), which two vocabularies may be compared by; nan for no words."""
        return _exp(self.nats / self.words) if self.words else math.nan

    def as_dict(self) -> dict:
        """Units first, then what they rest on; nan for what a data set without text has not."""
        row = {unit: getattr(self, unit) for unit in UNITS} | dataclasses.asdict(self)
        return {key: math.nan if value is None else value for key, value in row.items()}


def document_nats(nats, text) -> np.ndarray:
    """The loss of each document, [documents] float64.

    Args:
        nats: -log p of each token of the text, [tokens].
        text: a `Text`.
    """
    if not len(text.lengths):
        return np.zeros([0])
    return np.add.reduceat(nats, text.starts, dtype=np.float64)


def total(nats, text) -> Totals:
    """The `Totals` of a text, summed in float64.

    Args:
        nats, text: as for `document_nats`.
    """
    sums = document_nats(nats, text)
    return Totals(
        nats=float(sums.sum()),
        tokens=len(text.ids),
        bytes=text.bytes,
        words=text.words,
        documents=len(text.lengths),
        characters=text.characters,
        end_nats=float(np.sum(nats[text.ends], dtype=np.float64)),
        standard_error=_standard_error(sums, text.lengths),
    )


def per_document(nats, text) -> list:
    """The `Totals` of each document.

    Args:
        nats, text: as for `document_nats`; the text is one that keeps its bytes.
    """
    ends = np.zeros(len(text.ids))
    ends[text.ends] = nats[text.ends]
    columns = (
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


def _standard_error(sums, lengths):
    """Of the ratio sum(sums) / sum(lengths), documents being drawn independently.

    Cochran, Sampling Techniques, 3rd ed., 1977, section 6.4, without the finite population's
    correction: the split stands for all text of its kind.
    """
    number, tokens = len(sums), lengths.sum()
    if number < 2:
        return math.nan
    residuals = sums - sums.sum() / tokens * lengths
    return float(np.sqrt(number / (number - 1) * np.sum(residuals**2)) / tokens)


def _exp(value):
    """exp, infinite where a float is too small for it (an untrained model's words)."""
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
