"""How the learning rate and the batch of a ladder follow from the size, by published rules.

N is the number of parameters of the base without the input embedding: those of its layers (of
experts those that a token chooses) and of the output, width times vocabulary, whether or not the
output has a table of its own. OLMo and nanochat count so. Every size trains on
tokens_per_parameter * N tokens.

OLMo (https://github.com/allenai/OLMo-core, `model_ladder/wsds_chinchilla_run_configurator.py`, by
https://arxiv.org/abs/2406.19146): a rate of 0.0047 (N / 108M)^(-1/3) / 2, of which the half is for
schedules with a constant rate before the decay; a batch of 2048 * 160 (N / 108M)^(2/3) tokens; a
warmup of N tokens; beta2 of AdamW 0.99 in batches below 524,288 tokens, else 0.95.

nanochat (https://github.com/karpathy/nanochat, `scripts/base_train.py` of 2026 and the entry of
2026-02-05 in `dev/LOG.md`): with D tokens, and D_12 of the model of depth 12, a batch of
2^19 (D / D_12)^0.383 tokens, as the nearest power of two; B being that batch, all rates times
(B / 2^19)^0.5, and the weight decay times (B / 2^19)^0.5 D_12 / D; 40 steps of warmup, a linear
decay to 5% over the last 65%. Its models have the widths of sizes/ladder.gin. Its rates themselves
are of four groups of weights and of its own form of Muon, and are not here: the rate of depth 12 is
a setting.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Protocol

OLMO, NANOCHAT, SWEEP = NAMES = ("olmo", "nanochat", "sweep")

_OLMO_N = 108e6
_OLMO_RATE = 0.0047 / 2
_OLMO_BATCH = 2048 * 160
_OLMO_LARGE_BATCH = 524_288
_NANOCHAT_DEPTH = 12
_NANOCHAT_BATCH = 2**19
_NANOCHAT_WARMUP = 40
_MOST_WARMUP = 0.1  # Of a run, however short.
_DIGITS = 4  # Of rates, so that a file has readable numbers and the run exactly these.


@dataclasses.dataclass(frozen=True)
class Basis:
    """What a rule starts from.

    Attributes:
        n: N of the size.
        tokens_per_parameter: tokens of training for each of N.
        reference_n: N at the rule's `reference_depth`.
        learning_rate: the rate at the rule's reference, or None for the rule's own.
        usual: {slot: value} that the optimizer's gin file sets.
        has_warmup: whether the schedule reads the slot `warmup_steps`.
        optimizer: the optimizer, as the user names it.
        has_own_schedule: whether the schedule is the rule's.
    """

    n: int
    tokens_per_parameter: float
    reference_n: int
    learning_rate: float | None
    usual: Mapping[str, Any]
    has_warmup: bool
    optimizer: str
    has_own_schedule: bool


class Rule(Protocol):
    """A rule.

    Attributes:
        optimizer, schedule: what it is for.
        reference_depth: the depth whose N it needs, or None.
        sentence: the rule in words.
    """

    optimizer: str
    schedule: str
    reference_depth: int | None
    sentence: str

    def batch_tokens(self, basis: Basis) -> float:
        """Returns the tokens of a batch."""

    def learning_rate(self, basis: Basis) -> float:
        """Returns the highest learning rate."""

    def settings(self, basis: Basis, steps: int) -> dict[str, Any]:
        """Returns further settings of a sweep's run, of a size that trains for `steps` steps."""


class Olmo:
    """OLMo's rule; the reference is a model with N of 108 million."""

    optimizer: str = "adamw"
    schedule: str = "wsd"
    reference_depth: int | None = None
    sentence: str = (
        "olmo: rate 0.0047 (N / 108M)^(-1/3) / 2, batch 2048 x 160 x (N / 108M)^(2/3) tokens, "
        "warmup of N tokens, at most a tenth of the run"
    )

    def batch_tokens(self, basis: Basis) -> float:
        """See Rule."""
        return _OLMO_BATCH * (basis.n / _OLMO_N) ** (2 / 3)

    def learning_rate(self, basis: Basis) -> float:
        """See Rule."""
        rate = _OLMO_RATE if basis.learning_rate is None else basis.learning_rate
        return rounded(rate * (basis.n / _OLMO_N) ** (-1 / 3))

    def settings(self, basis: Basis, steps: int) -> dict[str, Any]:
        """See Rule."""
        del steps
        found: dict[str, Any] = {}
        if basis.has_warmup:
            found["gin.warmup_steps"] = rounded(min(_MOST_WARMUP, 1 / basis.tokens_per_parameter))
        if basis.optimizer == "adamw":
            is_large = self.batch_tokens(basis) >= _OLMO_LARGE_BATCH
            found["gin.AdamWOptimizer.beta2"] = 0.95 if is_large else 0.99
        return found


class Nanochat:
    """nanochat's rule; the reference is the model of depth 12."""

    optimizer: str = "muon"
    schedule: str = "wsd"
    reference_depth: int | None = _NANOCHAT_DEPTH
    sentence: str = (
        "nanochat: batch 2^19 (D / D_12)^0.383 tokens, D_12 the tokens of depth 12, as a power of "
        "two; rate that of depth 12 (--learning_rate; default: the optimizer's usual one) times "
        "(batch / 2^19)^0.5, weight decay times (batch / 2^19)^0.5 D_12 / D"
    )

    def batch_tokens(self, basis: Basis) -> float:
        """See Rule."""
        tokens = _NANOCHAT_BATCH * (basis.n / basis.reference_n) ** 0.383
        return 2.0 ** round(math.log2(tokens))

    def learning_rate(self, basis: Basis) -> float:
        """See Rule."""
        rate = basis.learning_rate
        if rate is None:
            rate = basis.usual["usual_learning_rate"]
        return rounded(rate * self._of_batch(basis))

    def settings(self, basis: Basis, steps: int) -> dict[str, Any]:
        """See Rule."""
        found: dict[str, Any] = {}
        decay = basis.usual.get("usual_weight_decay")
        if decay:
            factor = self._of_batch(basis) * basis.reference_n / basis.n
            found["gin.weight_decay"] = rounded(decay * factor)
        if basis.has_warmup:
            is_long = _NANOCHAT_WARMUP <= _MOST_WARMUP * steps
            found["gin.warmup_steps"] = _NANOCHAT_WARMUP if is_long else _MOST_WARMUP
        if basis.has_own_schedule:
            found["gin.cooldown_steps"] = 0.65
            found["gin.cooldown_form"] = "linear"
            found["gin.final_learning_rate_fraction"] = 0.05
        return found

    def _of_batch(self, basis: Basis) -> float:
        return math.sqrt(self.batch_tokens(basis) / _NANOCHAT_BATCH)


class Swept(Olmo):
    """OLMo's rule, with a rate that was found at the smallest size in place of OLMo's."""

    sentence: str = (
        "sweep: the rate that is best at the smallest size, N_0 parameters, times "
        "(N / N_0)^(-1/3); batch 2048 x 160 x (N / 108M)^(2/3) tokens, warmup of N tokens, at most "
        "a tenth of the run"
    )


RULES: Mapping[str, Rule] = {OLMO: Olmo(), NANOCHAT: Nanochat(), SWEEP: Swept()}


def rounded(number: float) -> float:
    """Returns a number with a few digits."""
    return float(f"{number:.{_DIGITS}g}")
