"""Protocols: how a split is cut into windows, and its total loss under a scorer.

For windows of L tokens, L being the model's length:

- `stream`: the split as one stream, an end token after every document. No context across windows;
  the documents of a window see each other, as in training.
- `sliding`: the stream in overlapping windows, each starting `stride` tokens after the one before,
  so that all tokens but those of the first window have at least L - stride tokens of context.
- `document`: each document alone, no context across windows.
- `packed`: the windows of `document`, several to a row, not seeing each other: the same number.
- `as_released`: the rows that `mode = "perplexity_eval"` of the released systems evaluates, for
  reproduction; see `primer.evaluation.as_released`.

- `masked`: the windows of `stream` with the masks of `masked_lm`: the loss of the predicted tokens,
  for models that see both sides; see `primer.evaluation.windows.masked`.

The first four score every token of the split exactly once. docs/protocols.md has the
formulas.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import gin
import numpy as np

from primer.common import checks
from primer.errors import UsageError
from primer.evaluation import as_released, tokenized_split
from primer.evaluation.tokenized_split import TokenizedSplit
from primer.evaluation.totals import Totals, total
from primer.evaluation.units import (
    UNITS_OF_TEXT,
    UNITS_OF_TOKENS,
    check_units_available,
    check_units_known,
)
from primer.evaluation.windows import cutting, losses, masked

if TYPE_CHECKING:
    from primer.evaluation.scorer import Scorer

AS_RELEASED = "as_released"
MASKED = "masked"
NAMES = ("stream", "document", "packed", "sliding", AS_RELEASED, MASKED)

_DESCRIPTIONS = {
    "stream": "documents with their end tokens in one stream, cut into windows of {length} tokens; "
    "no context across windows",
    "document": "each document with its end token alone, cut into windows of {length} tokens; no "
    "context across windows",
    "packed": "each document with its end token alone, cut into windows of {length} tokens, "
    "several to a row without seeing each other; no context across windows",
    "sliding": "documents with their end tokens in one stream, in windows of {length} tokens, each "
    "{stride} behind the one before; all but the first window's tokens have at least {context} "
    "tokens of context",
    MASKED: "documents with their end tokens in one stream, cut into windows of {length} tokens; "
    "no context across windows",
}


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One way to cut a split into windows.

    Attributes:
        name: one of NAMES.
        stride: tokens between the starts of two windows of `sliding`; None for the others.
        units: units of `primer.evaluation.units.UNITS` that a result must have.

    Raises:
        UsageError: an unknown name or unit, a stride of another protocol than `sliding`, or none
            for `sliding`.
    """

    name: str
    stride: int | None = None
    units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_units_known(self.units)
        if self.name not in NAMES:
            raise UsageError(
                f"protocol.name = {self.name!r} (--protocol): expected one of {', '.join(NAMES)}"
            )
        if self.name == "sliding":
            checks.whole_number(
                "protocol.stride (--stride)",
                self.stride,
                expected="1 or more tokens between two windows (protocol sliding); half the "
                "model's length is common",
            )
        elif self.stride is not None:
            raise UsageError(
                f"protocol.stride = {self.stride!r} (--stride) is for the protocol sliding, and "
                f"protocol.name is {self.name!r}; leave it out, or choose sliding"
            )

    @property
    def label(self) -> str:
        """The name for files and tags, with the stride: "sliding_128"."""
        return f"{self.name}_{self.stride}" if self.stride else self.name

    def check_stride(self, length: int) -> None:
        """Raises UsageError if the stride is longer than the model's length."""
        if self.stride and self.stride > length:
            raise UsageError(
                f"protocol.stride = {self.stride} (--stride) is longer than the model's window of "
                f"{length} tokens, which would leave tokens out; expected at most {length}"
            )

    def check_units(self, task_name: str) -> None:
        """Raises UsageError if the data set of a task or mixture lacks the text for a unit."""
        of_text = [unit for unit in self.units if unit in UNITS_OF_TEXT]
        if of_text and self.name == MASKED:
            raise UsageError(
                f"protocol.units has {', '.join(of_text)}, and the protocol masked scores a part "
                "of the tokens: there are no bytes, characters or words to divide by; use "
                f"{UNITS_OF_TOKENS[0]}"
            )
        check_units_available(self.units, task_name, self.name == AS_RELEASED)

    def check_model(self, is_masked: bool) -> None:
        """Raises UsageError unless a model predicts tokens from what this protocol shows it.

        Args:
            is_masked: whether the model sees both sides of a token.
        """
        if is_masked and self.name != MASKED:
            raise UsageError(
                f"protocol.name = {self.name!r} (--protocol) scores each token from those to its "
                "left, and this model sees both sides (utils.run.model_type = 'aligned'); expected "
                "masked"
            )
        if not is_masked and self.name == MASKED:
            raise UsageError(
                "protocol.name = 'masked' (--protocol) is for models that see both sides of a "
                "token (objectives/masked_lm.gin), and this one reads left to right; expected one "
                f"of {', '.join(NAMES[:-1])}"
            )

    def describe(self, split: str, length: int, caveats: Sequence[str] = ()) -> str:
        """Returns sentences that say what a number of this protocol counts, with caveats."""
        if self.name == AS_RELEASED:
            how = as_released.describe(split, length)
        elif self.name == MASKED:
            how = masked.describe(split, self.describe_windows(length))
        else:
            how = f"Whole {split} split, every token scored once: {self.describe_windows(length)}."
        return " ".join([how, *caveats])

    def describe_windows(self, length: int) -> str:
        """Returns a phrase on how text is cut; for all protocols but as_released."""
        return _DESCRIPTIONS[self.name].format(
            length=length, stride=self.stride, context=length - (self.stride or 0)
        )

    def read_split(self, task_name: str, split: str, length: int) -> TokenizedSplit:
        """Reads what this protocol scores of a split.

        Args:
            task_name: a task or mixture.
            split: the name of a split.
            length: tokens of the model's window; the rows of as_released have it.

        Raises:
            UsageError: the split cannot be read, is empty, or lacks a unit of `units`.
        """
        self.check_units(task_name)
        if self.name == AS_RELEASED:
            return as_released.read_rows(task_name, split, length)
        if self.name == MASKED:
            return masked.read_split(task_name, split, length)
        return tokenized_split.read_split(task_name, split)

    def cut(self, text: TokenizedSplit, length: int) -> cutting.Windows:
        """Cuts a text into windows of `length` tokens."""
        self.check_stride(length)
        if self.stride is not None:
            return cutting.sliding(text, length, self.stride)
        cuts = {"stream": cutting.stream, MASKED: cutting.stream, "packed": cutting.packed}
        return cuts.get(self.name, cutting.documents)(text, length)

    def token_nats(
        self,
        scorer: "Scorer",
        text: TokenizedSplit,
        progress: Callable[[float], None] | None = None,
    ) -> np.ndarray:
        """Returns -log p of each token, [tokens] float32, in the text's order; 0 if not predicted.

        Args:
            scorer: has the weights of a checkpoint; its length is that of the windows.
            text: what to score, from `read_split`.
            progress: called after each batch with the share that is done.
        """
        windows = self.cut(text, scorer.length)
        if isinstance(text, masked.MaskedSplit):
            nats = losses.token_nats(scorer, windows, text.ids, progress, text.inputs)
            return nats * text.predicted
        return losses.token_nats(scorer, windows, text.ids, progress)

    def evaluate(
        self,
        scorer: "Scorer",
        text: TokenizedSplit,
        progress: Callable[[float], None] | None = None,
    ) -> Totals:
        """Returns the total of a text, summed in float64; arguments as for `token_nats`."""
        return self.total_of(self.token_nats(scorer, text, progress), text)

    def total_of(self, nats: np.ndarray, text: TokenizedSplit) -> Totals:
        """Returns the total of a text from the loss of each token, summed in float64.

        The total of as_released has no standard error: its rows are not independent documents.

        Args:
            nats: -log p of each token, from `token_nats`.
            text: what was scored.
        """
        found = total(nats, text)
        if self.name == AS_RELEASED:
            return dataclasses.replace(found, standard_error=math.nan)
        return found


def configured_protocol() -> Protocol:
    """Returns the protocol that gin configures; raises UsageError as `Protocol` does."""
    name, stride, required = protocol_settings()
    return Protocol(name, stride, (required,) if isinstance(required, str) else tuple(required))


@gin.configurable("protocol", module="primer")
def protocol_settings(
    name: str = "stream", stride: int | None = None, units: str | Sequence[str] = ()
) -> tuple:
    """Returns (protocol.name, protocol.stride, protocol.units) as gin binds them.

    The values are checked by the caller: gin would append lines to an error that is raised here.

    Args:
        name: one of NAMES; each file of gin/datasets sets the one that fits its documents.
        stride: tokens between the starts of two windows, for `sliding`.
        units: units that a result must have, as ["perplexity_per_word"].
    """
    return name, stride, units
