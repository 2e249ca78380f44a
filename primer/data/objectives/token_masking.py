"""Masked language modelling: which tokens of a row are predicted, and what the model reads there.

BERT (https://arxiv.org/abs/1810.04805), section 3.1, task 1; GPT-Neo's `mlm_training`. Each token
is chosen with probability `mask_rate`. In place of a chosen token the model reads

    the token itself          with probability keep_rate
    a random ordinary token   with probability random_rate
    the mask id               otherwise

and the loss counts chosen tokens only. Special tokens (padding, the ends of documents, unknown, the
extra ids, the mask) are never chosen and never drawn. The draws of a row depend on a seed and the
row's number alone, so that a resumed run reads the same masks, and every epoch has others.
"""

import dataclasses
from collections.abc import Sequence

import gin
import numpy as np
import seqio

from primer.common import checks, mixed_order
from primer.errors import UsageError

# Distinguishes these draws from the orders of documents and rows, which have the same seed.
_MASKS = 2


@gin.configurable("masked_lm", module="primer")
@dataclasses.dataclass(frozen=True)
class MaskSettings:
    """The settings of the objective, under GPT-Neo's names less `mlm_`.

    Attributes:
        mask_rate: the share of ordinary tokens that are predicted.
        keep_rate: the share of these that the model reads unchanged.
        random_rate: the share of these that a random token replaces.
        mask_id: the id of the mask. None: the vocabulary's last extra id.
        never_masked: further ids that are never predicted and never drawn.
        evaluation_seed: the seed of the masks of other splits than train, whatever the run's seed.
    """

    mask_rate: float = 0.15
    keep_rate: float = 0.10
    random_rate: float = 0.10
    mask_id: int | None = None
    never_masked: Sequence[int] = ()
    evaluation_seed: int = 0

    def checked(self) -> "MaskSettings":
        """Returns itself; raises UsageError for an invalid setting."""
        # Not in __post_init__: gin adds lines to the message of an error that is raised there.
        for name in ("mask_rate", "keep_rate", "random_rate"):
            checks.fraction(f"masked_lm.{name}", getattr(self, name))
        if not self.mask_rate:
            raise UsageError("masked_lm.mask_rate = 0: expected a number above 0; 0.15 is usual")
        if self.keep_rate + self.random_rate > 1:
            raise UsageError(
                f"masked_lm.keep_rate = {self.keep_rate} and masked_lm.random_rate = "
                f"{self.random_rate} add up to more than 1; expected shares of the chosen tokens"
            )
        checks.whole_number("masked_lm.evaluation_seed", self.evaluation_seed, least=0)
        if not isinstance(self.never_masked, Sequence):
            raise UsageError(
                f"masked_lm.never_masked = {self.never_masked!r}: expected ids, [3, 4]"
            )
        for number in self.never_masked:
            checks.whole_number("an id of masked_lm.never_masked", number, least=0)
        return self


class Masking:
    """Masks rows of tokens.

    Args:
        settings: the settings.
        vocabulary: the vocabulary of the tokens.
        task: the name of the task, for messages.

    Raises:
        UsageError: the vocabulary has no id for the mask, or `mask_id` is none of its ordinary ids.

    Attributes:
        settings: as given.
        mask_id: the id that the model reads at most chosen places.
    """

    def __init__(self, settings: MaskSettings, vocabulary: seqio.Vocabulary, task: str) -> None:
        self.settings = settings.checked()
        self.mask_id = _mask_id(settings.mask_id, vocabulary, task)
        special = {0, vocabulary.pad_id, vocabulary.eos_id, vocabulary.bos_id, vocabulary.unk_id}
        special |= set(range(vocabulary.vocab_size - vocabulary.extra_ids, vocabulary.vocab_size))
        resolved = vocabulary.resolve() if hasattr(vocabulary, "resolve") else vocabulary
        special |= set(getattr(resolved, "special_ids", ()))
        special |= {self.mask_id, *settings.never_masked}
        self._special = np.array(sorted(number for number in special if number is not None))
        self._ordinary = np.setdiff1d(np.arange(vocabulary.vocab_size), self._special)
        if not len(self._ordinary):
            raise UsageError(
                f"masked_lm.never_masked leaves no token of task {task} to predict; shorten it"
            )

    def mask(self, ids: np.ndarray, seed: int, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Masks a row.

        Args:
            ids: the tokens of the row, [length], 0 for padding.
            seed: the seed of the run, or of the evaluation.
            row: the number of the row, counted on over epochs.

        Returns:
            (inputs, targets), [length] int32 each: what the model reads; and the tokens that it is
            to predict, 0 where it predicts none.
        """
        # A position's three numbers do not depend on the length of the row.
        chances = mixed_order.uniform((len(ids), 3), _MASKS, seed, row >> 32, row)
        chosen = (chances[:, 0] < self.settings.mask_rate) & ~np.isin(ids, self._special)
        random_ids = self._ordinary[(chances[:, 2] * len(self._ordinary)).astype(np.int64)]
        keep, random = self.settings.keep_rate, self.settings.random_rate
        replaced = np.where(chances[:, 1] < keep + random, random_ids, self.mask_id)
        read = np.where(chances[:, 1] < keep, ids, replaced)
        inputs = np.where(chosen, read, ids).astype(np.int32)
        return inputs, np.where(chosen, ids, 0).astype(np.int32)


@gin.configurable(module="primer")
def masked_share() -> float:
    """Returns `masked_lm.mask_rate`, the expected share of the positions that the loss counts."""
    return MaskSettings().checked().mask_rate


def of_task(task: seqio.Task | seqio.Mixture) -> Masking:
    """Returns the masking that gin configures for the vocabulary of a task or mixture.

    Raises:
        UsageError: an invalid setting.
    """
    return Masking(MaskSettings(), task.output_features["targets"].vocabulary, task.name)


def _mask_id(chosen, vocabulary, task):
    size = vocabulary.vocab_size
    if chosen is None and not vocabulary.extra_ids:
        raise UsageError(
            f"the vocabulary of task {task} ({size} ids) has no id for the mask; set "
            "task_vocabulary.extra_ids = 1, whose id is the mask, or masked_lm.mask_id to an id "
            "that its texts do not use"
        )
    if chosen is None:
        return size - 1
    checks.whole_number("masked_lm.mask_id", chosen)
    if chosen >= size or chosen in (vocabulary.pad_id, vocabulary.eos_id):
        raise UsageError(
            f"masked_lm.mask_id = {chosen}: expected an id from 1 to {size - 1} of task {task} "
            "that is neither padding nor the end token; task_vocabulary.extra_ids = 1 adds one"
        )
    return chosen
