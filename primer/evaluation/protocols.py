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
- `masked`: the windows of `stream` with the masks of `masked_lm`; the loss of the predicted tokens.
- `transformer_xl`: what the scripts of Transformer-XL count: `primer.evaluation.memory.columns`.

The first four score every token of the split exactly once. A model with memory carries it from
window to window of a text (`primer.evaluation.memory.tracks`), except as released.
docs/protocols.md has the formulas.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import gin
import numpy as np

from primer.common.settings import evaluation_settings
from primer.errors import UsageError
from primer.evaluation import as_released, tokenized_split
from primer.evaluation.memory import columns, plan
from primer.evaluation.memory.reach import Memory
from primer.evaluation.tokenized_split import TokenizedSplit
from primer.evaluation.totals import Totals, total
from primer.evaluation.units import check_units_known
from primer.evaluation.windows import (
    cutting,
    descriptions,
    losses,
    masked,
    scored_parts,
    setting_checks,
)

if TYPE_CHECKING:
    from primer.evaluation.scorer import Scorer

AS_RELEASED = "as_released"
MASKED = "masked"
TRANSFORMER_XL = "transformer_xl"
NAMES = setting_checks.NAMES


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One way to cut a split into windows.

    Attributes:
        name: one of NAMES.
        stride: tokens between the starts of two windows of `sliding`; None for the others.
        units: units of `primer.evaluation.units.UNITS` that a result must have.
        columns: the columns of `transformer_xl`; None for `columns.COLUMNS`, and for the others.
        ext_len: tokens before each segment of `transformer_xl` that are computed again.
        accuracy: whether to count the scored tokens that are the model's first choice; None: of
            tasks that mark their answers only.

    Raises:
        UsageError: an unknown name or unit, a setting of another protocol, or no stride for
            `sliding`.
    """

    name: str
    stride: int | None = None
    units: tuple[str, ...] = ()
    columns: int | None = None
    ext_len: int | None = None
    accuracy: bool | None = None

    def __post_init__(self) -> None:
        check_units_known(self.units)
        evaluation_settings.check_protocol(
            self.name, self.stride, self.columns, self.ext_len, self.accuracy
        )

    @property
    def label(self) -> str:
        """The name for files and tags, with its numbers: "sliding_128", "transformer_xl_10"."""
        if self.name != TRANSFORMER_XL:
            return f"{self.name}_{self.stride}" if self.stride else self.name
        ext = f"_ext_{self.ext_len}" if self.ext_len else ""
        return f"{self.name}_{self.columns or columns.COLUMNS}{ext}"

    def check_stride(self, length: int) -> None:
        """Raises UsageError if the stride is longer than the model's length."""
        if self.stride and self.stride > length:
            raise UsageError(
                f"protocol.stride = {self.stride} (--stride) is longer than the model's window of "
                f"{length} tokens, which would leave tokens out; expected at most {length}"
            )

    def check_task(self, task_name: str) -> None:
        """Raises UsageError if a task or mixture lacks the text for a unit, or has other answers.

        Some tasks mark their answers, which only some protocols score.
        """
        setting_checks.check_units(self.name, self.units, task_name)
        scored_parts.check_protocol(self.name, task_name)

    def check_model(self, is_masked: bool, has_memory: bool = False) -> None:
        """Raises UsageError unless a model predicts tokens from what this protocol shows it.

        Args:
            is_masked: whether the model sees both sides of a token.
            has_memory: whether the model has memory of earlier segments.
        """
        setting_checks.check_model(self.name, self.ext_len, is_masked, has_memory)

    def window(self, length: int, memory: Memory | None) -> int:
        """Returns the tokens of a window: the model's length, or its segment of transformer_xl."""
        if self.name == TRANSFORMER_XL:
            return columns.target_length(length, memory)
        return length

    def row_length(self, length: int, memory: Memory | None) -> int:
        """Returns the tokens of a row that a scorer reads; more than a window of transformer_xl."""
        if self.name == TRANSFORMER_XL:
            return columns.row_length(length, memory, self.ext_len or 0)
        return length

    def describe(
        self,
        split: str,
        length: int,
        caveats: Sequence[str] = (),
        memory: Memory | None = None,
        text: TokenizedSplit | None = None,
    ) -> str:
        """Returns sentences that say what a number of this protocol counts.

        Args:
            split: the name of the split.
            length: tokens of a row.
            caveats: further sentences.
            memory: that of the model.
            text: what is scored; for transformer_xl.
        """
        if self.name == AS_RELEASED:
            how = as_released.describe(split, length)
        elif self.name == MASKED:
            how = masked.describe(split, self.describe_windows(length))
        elif isinstance(text, scored_parts.AnswerSplit):
            how = scored_parts.describe(split, length)
        elif isinstance(text, columns.ColumnSplit):
            how = columns.describe(split, length, memory, self.ext_len or 0, text)
        else:
            windows = self.describe_windows(length, memory)
            how = f"Whole {split} split, every token scored once: {windows}."
        return " ".join([how, *caveats])

    def describe_windows(self, length: int, memory: Memory | None = None) -> str:
        """Returns a phrase on how text is cut; not for as_released and transformer_xl."""
        return descriptions.describe(self.name, length, self.stride, memory)

    def read_split(self, task_name: str, split: str, length: int) -> TokenizedSplit:
        """Reads what this protocol scores of a split.

        Args:
            task_name: a task or mixture.
            split: the name of a split.
            length: tokens of the model's window; the rows of as_released have it.

        Raises:
            UsageError: the split cannot be read, is empty, or lacks a unit of `units`.
        """
        self.check_task(task_name)
        if scored_parts.marks_answers(task_name):
            return scored_parts.read_answers(task_name, split)
        if self.name == AS_RELEASED:
            return as_released.read_rows(task_name, split, length)
        if self.name == MASKED:
            return masked.read_split(task_name, split, length)
        if self.name == TRANSFORMER_XL:
            return columns.read_split(task_name, split, self.columns or columns.COLUMNS)
        return tokenized_split.read_split(task_name, split)

    def cut(self, text: TokenizedSplit, length: int) -> cutting.Windows:
        """Cuts a text into windows of `length` tokens, for a model without memory."""
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
        previous: int = 0,
    ) -> np.ndarray:
        """Returns -log p of each token, [tokens] float32, in the text's order; 0 if not predicted.

        Args:
            scorer: has the weights of a checkpoint; its length is that of the rows.
            text: what to score, from `read_split`.
            progress: called after each batch with the share that is done.
            previous: the token before the text, where a model with memory goes on with a stream.
        """
        found = losses.token_nats(scorer, *self._read(scorer, text, progress, previous))
        return text.scored_alone(found)

    def token_nats_and_best(
        self,
        scorer: "Scorer",
        text: TokenizedSplit,
        progress: Callable[[float], None] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns (nats, are_best): also whether each token is the model's first choice.

        The arguments are those of `token_nats`; are_best is [tokens] bool, False if not scored.
        """
        nats, are_best = losses.token_nats_and_best(scorer, *self._read(scorer, text, progress, 0))
        return text.scored_alone(nats), text.scored_alone(are_best)

    def _read(self, scorer, text, progress, previous):
        """Returns the arguments of `losses.token_nats` after the scorer."""
        if isinstance(text, masked.MaskedSplit):
            return self.cut(text, scorer.length), text.ids, progress, text.inputs
        if scorer.memory is None and self.name != TRANSFORMER_XL:
            return self.cut(text, scorer.length), text.ids, progress
        read = plan.make(
            self.name, text, scorer.length, scorer.memory, scorer.rows, self.ext_len or 0, previous
        )
        return read.windows, text.ids, progress, read.inputs, read.begins

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
    name, stride, required, *others = protocol_settings()
    units = (required,) if isinstance(required, str) else tuple(required)
    return Protocol(name, stride, units, *others)


@gin.configurable("protocol", module="primer")
def protocol_settings(
    name: str = "stream",
    stride: int | None = None,
    units: str | Sequence[str] = (),
    columns: int | None = None,
    ext_len: int | None = None,
    accuracy: bool | None = None,
) -> tuple:
    """Returns (protocol.name, .stride, .units, .columns, .ext_len, .accuracy) as gin binds them.

    The values are checked by the caller: gin would append lines to an error that is raised here.

    Args:
        name: one of NAMES; each file of gin/datasets sets the one that fits its documents.
        stride: tokens between the starts of two windows, for `sliding`.
        units: units that a result must have, as ["perplexity_per_word"].
        columns: how many columns the text is cut into, for `transformer_xl`; None for 10.
        ext_len: tokens before each segment that are computed again, for `transformer_xl`.
        accuracy: whether to count the tokens that are the model's first choice; None: of tasks
            that mark their answers only.
    """
    return name, stride, units, columns, ext_len, accuracy
