"""The task `copying`: a text, a gap, a mark, and the text again, whose tokens are the answers.

    s1 s2 s3 s4 _ _ _ _ _ | [s1] [s2] [s3] [s4]

As the copying problem of recurrent networks (https://arxiv.org/abs/1511.06464, section 5.1), with
symbols of any number. The gap is what `copying.length` leaves: length - 2 tokens - 1 blanks.
"""

import dataclasses

import gin
import numpy as np

from primer.common import checks
from primer.data.probes import probe
from primer.errors import UsageError


@gin.configurable("copying", module="primer")
@dataclasses.dataclass(frozen=True)
class Copying(probe.Probe):
    """The settings of copying.

    Attributes:
        tokens: the tokens of the text that is copied.
    """

    tokens: int = 16

    @property
    def name(self) -> str:
        """As `Probe`."""
        return "copying"

    def check(self) -> None:
        """As `Probe`."""
        checks.whole_number("copying.tokens", self.tokens)
        if 2 * self.tokens + 1 > self.length:
            raise UsageError(
                f"copying.tokens = {self.tokens}: a text of {self.tokens} tokens, a mark and the "
                f"copy are {2 * self.tokens + 1} tokens, and copying.length is {self.length}; "
                f"expected at most {(self.length - 1) // 2} tokens, or longer examples"
            )

    @property
    def num_draws(self) -> int:
        """As `Probe`."""
        return self.tokens

    def examples(self, draws: np.ndarray) -> probe.Examples:
        """As `Probe`; the content of an example is its text."""
        text = self.symbols_of(draws)
        ids = np.full((len(draws), self.length), probe.BLANK)
        ids[:, : self.tokens] = ids[:, -self.tokens :] = text
        ids[:, -self.tokens - 1] = probe.MARK
        answers = np.zeros(ids.shape, bool)
        answers[:, -self.tokens :] = True
        return probe.Examples(probe.without_answers(ids, answers), text)
