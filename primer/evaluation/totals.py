"""What was scored, and the same total in the units that people compare."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Totals:
    """The loss of a text and the counts that it may be divided by.

    Attributes:
      nats: the sum of -log p over all tokens, end tokens included, over the model's own (padded)
        softmax.
      tokens: tokens of the documents, and one end token for each document.
      bytes: UTF-8 bytes of the documents before tokenization, and one for each document's end.
      words: words of the documents, separated by white space.
      documents: how many there are.
    """

    nats: float
    tokens: int
    bytes: int
    words: int
    documents: int

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
        """nats / ln 2 / bytes, which two vocabularies may be compared by."""
        return self.nats / math.log(2) / self.bytes

    @property
    def perplexity_per_word(self) -> float:
        """exp(nats / words), which two vocabularies may be compared by; nan for no words."""
        return _exp(self.nats / self.words) if self.words else math.nan

    def as_dict(self) -> dict:
        """Units first, then what they rest on."""
        units = ("nats_per_token", "perplexity_per_token", "bits_per_byte", "perplexity_per_word")
        return {unit: getattr(self, unit) for unit in units} | dataclasses.asdict(self)


def _exp(value):
    """exp, infinite where a float is too small for it (an untrained model's words)."""
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
