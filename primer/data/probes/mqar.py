"""The task `mqar`: multi-query associative recall (https://arxiv.org/abs/2312.04927, Zoology).

An example begins with pairs of a key and its value. Later each key comes once more, the query, and
the token after it is the answer, the key's value:

    k1 v1 k2 v2 k3 v3 . . k2 [v2] k3 [v3] . . . . k1 [v1] . .

Keys are the first half of the symbols, values the others; those of an example are all different.
Queries stand at even distances 2 g behind the pairs, each g drawn without repetition and with a
probability proportional to (g + 1)^(power - 1), as in Zoology's `multiquery_ar`. The tokens between
are random symbols, but none of the example's keys, or blanks.

Two differences from Zoology's code: its model reads a random token after a query, and here it reads
the answer, as the paper's section 4 writes the text; and there a key whose pair stands first comes
again early more often than others, and here the order of the pairs says nothing of the queries'.
"""

import dataclasses

import gin
import numpy as np

from primer.common import checks
from primer.data.probes import probe
from primer.errors import UsageError


@gin.configurable("mqar", module="primer")
@dataclasses.dataclass(frozen=True)
class MultiQueryRecall(probe.Probe):
    """The settings of multi-query associative recall.

    Attributes:
        pairs: the pairs of key and value of an example, and its queries.
        power: of the distances of the queries, from above 0 to 1; 1 makes all places alike.
        random_fillers: whether the tokens between are random symbols; else blanks.
    """

    pairs: int = 8
    power: float = 0.01
    random_fillers: bool = True

    @property
    def name(self) -> str:
        """As `Probe`."""
        return "mqar"

    def check(self) -> None:
        """As `Probe`."""
        checks.whole_number("mqar.pairs", self.pairs)
        if not checks.is_number(self.power) or not 0 < self.power <= 1:
            raise UsageError(f"mqar.power = {self.power!r}: expected a number above 0, at most 1")
        checks.boolean("mqar.random_fillers", self.random_fillers)
        if 4 * self.pairs > self.length:
            raise UsageError(
                f"mqar.pairs = {self.pairs}: {self.pairs} pairs and as many queries with their "
                f"answers are {4 * self.pairs} tokens, and mqar.length is {self.length}; expected "
                f"at most {self.length // 4} pairs, or longer examples"
            )
        if self.pairs > self._keys:
            raise UsageError(
                f"mqar.pairs = {self.pairs}: mqar.vocabulary_size = {self.vocabulary_size} has "
                f"{self._keys} keys, half of the ids from {probe.FIRST_SYMBOL} on; expected at "
                f"most {self._keys} pairs, or {2 * self.pairs + probe.FIRST_SYMBOL} ids or more"
            )

    @property
    def _keys(self) -> int:
        return self.symbols // 2

    @property
    def _places(self) -> int:
        """The places behind the pairs that hold a query and its answer."""
        return self.length // 2 - self.pairs

    @property
    def num_draws(self) -> int:
        """As `Probe`."""
        return self.symbols + self._places + self.pairs + self.length

    def examples(self, draws: np.ndarray) -> probe.Examples:
        """As `Probe`; the content of an example is its pairs in their order."""
        parts = np.cumsum([self._keys, self.symbols - self._keys, self._places, self.pairs])
        of_keys, of_values, of_places, of_order, of_fillers = np.split(draws, parts, axis=1)
        chosen_keys = probe.chosen(of_keys, self.pairs)
        keys = probe.FIRST_SYMBOL + chosen_keys
        values = probe.FIRST_SYMBOL + self._keys + probe.chosen(of_values, self.pairs)
        # The first arrivals of exponential clocks: drawn one after the other, without repetition.
        clocks = -np.log1p(-of_places) / probe.power_law(self._places, self.power)
        places = probe.chosen(clocks, self.pairs)
        places = np.take_along_axis(places, probe.chosen(of_order, self.pairs), 1)
        queries = 2 * self.pairs + 2 * places
        ids = self._fillers(of_fillers, chosen_keys)
        ids[:, 0 : 2 * self.pairs : 2], ids[:, 1 : 2 * self.pairs : 2] = keys, values
        np.put_along_axis(ids, queries, keys, 1)
        np.put_along_axis(ids, queries + 1, values, 1)
        answers = np.zeros(ids.shape, bool)
        np.put_along_axis(answers, queries + 1, True, 1)
        content = np.concatenate([keys, values], 1)
        return probe.Examples(probe.without_answers(ids, answers), content)

    def _fillers(self, draws: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """Returns tokens that are no key of their example, [examples, length].

        Args:
            draws: [examples, length].
            keys: the indices of the example's keys among the symbols, [examples, pairs].
        """
        if not self.random_fillers:
            return np.full(draws.shape, probe.BLANK)
        others = (draws * (self.symbols - self.pairs)).astype(np.int64)
        # The i-th smallest key, from 0, has (key - i) other symbols below it.
        below = np.sort(keys, 1) - np.arange(self.pairs)
        skipped = (others[:, :, None] >= below[:, None, :]).sum(-1)
        return probe.FIRST_SYMBOL + others + skipped
