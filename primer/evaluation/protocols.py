"""The protocols: how a split is cut into windows, and its total under a scorer.

Of windows of L tokens, L being the model's length:

- `stream`: the split as one stream, an end token behind every document. No context across windows;
  the documents of a window see each other, as in training.
- `sliding`: the stream in windows that overlap, each `stride` tokens behind the one before, so that
  all tokens but the first window's have at least L - stride tokens of context.
- `document`: each document alone, no context across windows.
- `packed`: the windows of `document`, several to a row, not seeing each other: the same number.
- `as_released`: what `mode = "perplexity_eval"` of the released systems counts, for reproduction:
  the first batches, see `primer.evaluation.as_released`.

In all but the last, every token of the split is scored exactly once. docs/protocols.md has the
formulas.
"""

import dataclasses
import math

import gin
import numpy as np

from primer.common import checks
from primer.data import whole_documents
from primer.errors import UsageError
from primer.evaluation import as_released, windows
from primer.evaluation import tokenized_split as texts
from primer.evaluation.totals import UNITS, UNITS_OF_TEXT, Totals, total

AS_RELEASED = "as_released"
NAMES = ("stream", "document", "packed", "sliding", AS_RELEASED)

_HOW = {
    "stream": "documents with their end tokens in one stream, cut into windows of {length} tokens; "
    "no context across windows",
    "document": "each document with its end token alone, cut into windows of {length} tokens; no "
    "context across windows",
    "packed": "each document with its end token alone, cut into windows of {length} tokens, "
    "several to a row without seeing each other; no context across windows",
    "sliding": "documents with their end tokens in one stream, in windows of {length} tokens, each "
    "{stride} behind the one before; all but the first window's tokens have at least {context} "
    "tokens of context",
}


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One way to cut a split.

    Attributes:
        name: one of NAMES.
        stride: tokens between two windows of `sliding`; None for the others.
        units: which of `primer.evaluation.totals.UNITS` a result has to have. A data set that
            cannot give one of them is refused before any work.

    Raises:
        UsageError: another name or unit, a stride where none belongs, or none where one does.
    """

    name: str
    stride: int | None = None
    units: tuple = ()

    def __post_init__(self):
        unknown = sorted(set(self.units) - set(UNITS))
        if unknown:
            raise UsageError(
                f"protocol.units has {', '.join(map(repr, unknown))}: expected some of "
                f"{', '.join(UNITS)}"
            )
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
        """For names of files and tags: sliding_128."""
        return f"{self.name}_{self.stride}" if self.stride else self.name

    def check(self, length):
        """Raises UsageError for a stride that a model of this length cannot have."""
        if self.stride and self.stride > length:
            raise UsageError(
                f"protocol.stride = {self.stride} (--stride) is longer than the model's window of "
                f"{length} tokens, which would leave tokens out; expected at most {length}"
            )

    def check_units(self, task_name):
        """Raises UsageError where a unit is asked for that the task's data set cannot give.

        Args:
            task_name: a task or mixture.
        """
        wanted = [unit for unit in self.units if unit in UNITS_OF_TEXT]
        if not wanted:
            return
        if self.name == AS_RELEASED:
            reason = "the protocol as_released counts rows, of which nobody has the text"
            way_out = "choose another protocol (protocol.name, --protocol)"
        elif not whole_documents.keeps_text(task_name):
            reason = f"the data set of {task_name} keeps token ids and no text"
            way_out = f"ask for {' or '.join(sorted(set(UNITS) - set(UNITS_OF_TEXT)))}"
        else:
            return
        raise UsageError(
            f"protocol.units asks for {', '.join(wanted)}, and {reason}: there are no bytes, "
            f"characters or words to divide by; {way_out}"
        )

    def describe(self, split, length, caveats=()) -> str:
        """What a number of this protocol is printed with: sentences, and the model's caveats."""
        if self.name == AS_RELEASED:
            how = as_released.describe(split, length)
        else:
            how = f"Whole {split} split, every token scored once: {self.how(length)}."
        return " ".join([how, *caveats])

    def how(self, length) -> str:
        """How text is cut, in a few words; of all protocols but as_released."""
        return _HOW[self.name].format(
            length=length, stride=self.stride, context=length - (self.stride or 0)
        )

    def read(self, task_name, split, length) -> texts.Text:
        """What this protocol scores of a split.

        Args:
            task_name: a task or mixture.
            split: the name of a split.
            length: the model's, which as_released needs to read.

        Raises:
            UsageError: it cannot be read, or there is nothing in it.
        """
        self.check_units(task_name)
        if self.name == AS_RELEASED:
            return as_released.read(task_name, split, length)
        return texts.read(task_name, split)

    def cut(self, text, length) -> windows.Windows:
        """How a text is cut."""
        self.check(length)
        if self.name == "sliding":
            return windows.sliding(text, length, self.stride)
        ways = {"stream": windows.stream, "packed": windows.packed}
        return ways.get(self.name, windows.documents)(text, length)

    def token_nats(self, scorer, text, progress=None) -> np.ndarray:
        """-log p of each token under the checkpoint that the scorer has restored.

        Args:
            scorer: a `Scorer`; its length is that of the windows.
            text: what to score, as `read` gave it.
            progress: called with the share that is done after each batch, or None.

        Returns:
            nats [tokens] float32, in the text's order.
        """
        cut = self.cut(text, scorer.length)
        result = np.zeros(len(text.ids), np.float32)
        for first in range(0, cut.number, scorer.rows):
            end = min(first + scorer.rows, cut.number)
            nats = scorer.nats(*cut.filled(text.ids, first, end))
            tokens, places = cut.counted(first, end)
            result[tokens] = nats.reshape(-1)[places]
            if progress:
                progress(end / cut.number)
        return result

    def evaluate(self, scorer, text, progress=None) -> Totals:
        """The total of a text, see `token_nats`; summed in float64.

        Of as_released without a standard error: its rows are no independent documents.
        """
        found = total(self.token_nats(scorer, text, progress), text)
        if self.name == AS_RELEASED:
            return dataclasses.replace(found, standard_error=math.nan)
        return found


def chosen() -> Protocol:
    """The protocol that gin chooses.

    Raises:
        UsageError: as of `Protocol`.
    """
    name, stride, units = settings()
    return Protocol(name, stride, (units,) if isinstance(units, str) else tuple(units))


@gin.configurable("protocol", module="primer")
def settings(name="stream", stride=None, units=()):
    """What gin says: `protocol.name`, `protocol.stride`, `protocol.units`.

    Args:
        name: one of NAMES; each file of gin/datasets says which fits its documents.
        stride: tokens between two windows, for `sliding`.
        units: a list of units that a result has to have, as ["perplexity_per_word"].

    Returns:
        (name, stride, units), not looked at: gin would add lines of its own to an error from here.
    """
    return name, stride, units
