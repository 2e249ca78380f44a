"""The text of the protocol `masked`: a split with the masks of the objective `masked_lm`.

The split is one stream, cut into windows as by `stream`. Row r of them has the masks that the
objective gives row r of the split, so that `mode = "perplexity_eval"` of the same rows has the same
loss. They depend on `masked_lm.evaluation_seed`, on the row and on the place in it alone: not on
the run's seed, the batch or the checkpoint. A token that is not predicted has no loss.
"""

import dataclasses

import numpy as np

from primer.data import preflight
from primer.data.objectives import token_masking
from primer.errors import UsageError
from primer.evaluation import tokenized_split
from primer.evaluation.tokenized_split import TokenizedSplit
from primer.evaluation.windows.scored_parts import PartlyScoredSplit


@dataclasses.dataclass(frozen=True)
class MaskedSplit(PartlyScoredSplit):
    """A split of which some tokens are predicted.

    Attributes:
        inputs: what the model reads in place of each token, [tokens] int32.
    """

    inputs: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros([0], np.int32))

    @property
    def _content(self) -> tuple[np.ndarray, ...]:
        return self.ids, self.inputs, self.predicted


def read_split(task_name: str, split: str, length: int) -> MaskedSplit:
    """Reads a whole split and masks it.

    Args:
        task_name: a task or mixture.
        split: the name of a split.
        length: tokens of a window.

    Raises:
        UsageError: the split cannot be read, is empty, or has no token to predict; or the settings
            of the masks are not valid.
    """
    masking = token_masking.of_task(preflight.find_task(task_name))
    text = mask(tokenized_split.read_split(task_name, split), masking, length)
    if not text.predicted.any():
        raise UsageError(
            f"task {task_name}: none of the {len(text.ids):,} tokens of the split {split!r} is "
            "masked; use a longer text, or raise masked_lm.mask_rate"
        )
    return text


def mask(text: TokenizedSplit, masking: token_masking.Masking, length: int) -> MaskedSplit:
    """Masks a text in windows of `length` tokens."""
    inputs, predicted = text.ids.astype(np.int32), np.zeros(len(text.ids), bool)
    for row, start in enumerate(range(0, len(text.ids), length)):
        places = slice(start, start + length)
        seed = masking.settings.evaluation_seed
        inputs[places], targets = masking.mask(text.ids[places], seed, row)
        predicted[places] = targets != 0
    return MaskedSplit(text.ids, text.lengths, text.ends, inputs=inputs, predicted=predicted)


def describe(split: str, windows: str) -> str:
    """Returns a sentence on what a number of the protocol counts.

    Args:
        split: the name of the split.
        windows: how the text is cut, as part of a sentence.
    """
    settings = token_masking.MaskSettings()
    return (
        f"Masked tokens of the whole {split} split, predicted from both sides: {windows}; "
        f"{settings.mask_rate:.0%} of the ordinary tokens, drawn with seed "
        f"{settings.evaluation_seed}. Not to be compared with the loss of a causal model."
    )
