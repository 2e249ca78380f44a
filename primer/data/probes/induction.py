"""The task `induction`: what followed the mark the first time follows it again.

    a b c | x d e f g | [x] h i j | [x]

The mark and the symbol after it come first at a random place, and then `queries` times, the last
time at the end of the example; all other tokens are random symbols. With one query it is the
induction head of H3 (https://arxiv.org/abs/2212.14052, section 3.1), which is named after the
circuit of two attention layers (https://arxiv.org/abs/2209.11895). Marks stand at even places, all
alike probable.
"""

import dataclasses

import gin
import numpy as np

from primer.common import checks
from primer.data.probes import probe
from primer.errors import UsageError


@gin.configurable("induction", module="primer")
@dataclasses.dataclass(frozen=True)
class Induction(probe.Probe):
    """The settings of the induction head.

    Attributes:
        queries: how often the mark comes again.
    """

    queries: int = 1

    @property
    def name(self) -> str:
        """As `Probe`."""
        return "induction"

    def check(self) -> None:
        """As `Probe`."""
        checks.whole_number("induction.queries", self.queries)
        if 2 * (self.queries + 1) > self.length:
            raise UsageError(
                f"induction.queries = {self.queries}: the mark and its symbol come "
                f"{self.queries + 1} times, {2 * self.queries + 2} tokens, and induction.length is "
                f"{self.length}; expected at most {self.length // 2 - 1} queries, or longer "
                "examples"
            )

    @property
    def _places(self) -> int:
        """The places before the last one that hold a mark and its symbol."""
        return self.length // 2 - 1

    @property
    def num_draws(self) -> int:
        """As `Probe`."""
        return self._places + self.length + 1

    def examples(self, draws: np.ndarray) -> probe.Examples:
        """As `Probe`; the content of an example is all of it."""
        places = np.sort(probe.chosen(draws[:, : self._places], self.queries), 1)
        ids = self.symbols_of(draws[:, self._places : -1])
        answer = self.symbols_of(draws[:, -1:])
        # The last mark is the last token but one, also of an odd length.
        marks = np.concatenate([2 * places, np.full((len(ids), 1), self.length - 2)], 1)
        np.put_along_axis(ids, marks, probe.MARK, 1)
        np.put_along_axis(ids, marks + 1, answer, 1)
        answers = np.zeros(ids.shape, bool)
        np.put_along_axis(answers, marks[:, 1:] + 1, True, 1)
        return probe.Examples(probe.without_answers(ids, answers), ids)
