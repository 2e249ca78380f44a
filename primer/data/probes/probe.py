"""A probe: examples of one length, made while they are read, of which only the answers are scored.

The ids: 0 padding, 1 the end token, which no example has, 2 a mark, 3 a blank, symbols from 4 on.
A token that is no answer has its negative id. Mesh-TensorFlow reads the absolute value, and a
target below 1 has no loss, in training and in evaluation.

Examples are made in blocks of 64. A block depends on the settings, the seeds, the split and its
number alone, so that a resumed run reads the examples that it would have read. What the answers of
an example repeat, its content, decides by its checksum whether training or validation may have it:
no content is in both.
"""

import abc
import dataclasses
import functools
import zlib
from typing import NamedTuple

import numpy as np

from primer.common import checks, mixed_order
from primer.errors import UsageError

MARK, BLANK, FIRST_SYMBOL = 2, 3, 4
END = 1
TRAIN, VALIDATION = "train", "validation"
SPLITS = (TRAIN, VALIDATION)

BLOCK = 64
# One content of so many is of the validation split.
_VALIDATION_SHARE = 8
# Distinguishes these draws from the orders of documents and rows and from masks.
_EXAMPLES = 3
# Draws of a block. In a large space two make a block of training, and some ten one of validation.
_MOST_DRAWS = 1_000


class Examples(NamedTuple):
    """Several examples.

    Attributes:
        targets: their tokens, those that are no answers negative, [examples, length] int32.
        content: what decides their split, [examples, any size] int32.
    """

    targets: np.ndarray
    content: np.ndarray


@dataclasses.dataclass(frozen=True)
class Probe(abc.ABC):
    """The settings that all probes have; gin sets those of a subclass under the probe's name.

    Attributes:
        length: the tokens of an example.
        vocabulary_size: the number of ids, with the four that are no symbols.
        validation_examples: the examples of the validation split; those of training have no end.
        seed: of the examples of both splits; those of training also depend on the run's seed.
    """

    length: int = 64
    vocabulary_size: int = 64
    validation_examples: int = 512
    seed: int = 0

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The name of the task, and of its settings in gin."""

    @property
    @abc.abstractmethod
    def num_draws(self) -> int:
        """How many random numbers make an example."""

    @abc.abstractmethod
    def examples(self, draws: np.ndarray) -> Examples:
        """Returns examples.

        Args:
            draws: numbers from 0 to below 1, [examples, num_draws] float64.
        """

    @abc.abstractmethod
    def check(self) -> None:
        """Raises UsageError for a setting that is not valid, or that leaves no room for another."""

    @property
    def symbols(self) -> int:
        """The number of ids that are symbols."""
        return self.vocabulary_size - FIRST_SYMBOL

    def checked(self) -> "Probe":
        """Returns itself.

        Raises:
            UsageError: a setting is not valid, or there are too few different examples for both
                splits.
        """
        # Not in __post_init__: gin adds lines to the message of an error that is raised there.
        checks.whole_number(f"{self.name}.length", self.length, least=2)
        checks.whole_number(
            f"{self.name}.vocabulary_size", self.vocabulary_size, least=FIRST_SYMBOL + 2
        )
        checks.whole_number(f"{self.name}.validation_examples", self.validation_examples)
        checks.whole_number(f"{self.name}.seed", self.seed, least=0)
        self.check()
        for split in SPLITS:
            self.block(split, 0, 0)
        return self

    def block(self, split: str, run_seed: int, number: int) -> np.ndarray:
        """Returns the examples of a block, [64 or, at the end of validation, fewer, length] int32.

        Args:
            split: one of SPLITS.
            run_seed: the seed of the run, which validation does not depend on.
            number: the number of the block, from 0.

        Raises:
            UsageError: too few different examples exist.
        """
        held_out = split == VALIDATION
        size = min(BLOCK, self.validation_examples - BLOCK * number) if held_out else BLOCK
        key = self.seed, 0 if held_out else run_seed, held_out, number >> 32, number, _EXAMPLES
        kept: list[np.ndarray] = []
        for draw in range(_MOST_DRAWS):
            draws = mixed_order.uniform((BLOCK, self.num_draws), *key, draw)
            targets, content = self.examples(draws)
            kept.append(targets[_is_held_out(content) == held_out])
            if sum(map(len, kept)) >= size:
                return np.concatenate(kept)[:size]
        raise UsageError(
            f"{self.name}.vocabulary_size = {self.vocabulary_size}: there are too few different "
            f"examples for a {split} split that shares none with the other; expected more ids, or "
            "longer examples"
        )

    def symbols_of(self, draws: np.ndarray, number: int | None = None) -> np.ndarray:
        """Returns symbols, each independent of the others.

        Args:
            draws: numbers from 0 to below 1, any shape.
            number: how many symbols there are, from the first one; None for all.
        """
        return FIRST_SYMBOL + (draws * (number or self.symbols)).astype(np.int32)


def _is_held_out(content: np.ndarray) -> np.ndarray:
    """Returns which contents are of the validation split, [examples] bool."""
    content = np.ascontiguousarray(content, "<i4")
    sums = np.array([zlib.crc32(row.tobytes()) for row in content])
    return sums % _VALIDATION_SHARE == 0


def chosen(draws: np.ndarray, number: int) -> np.ndarray:
    """Returns `number` different columns of each row in random order, all alike probable.

    Args:
        draws: numbers from 0 to below 1, [rows, columns].
        number: how many are chosen.

    Returns:
        Their indices, [rows, number] int.
    """
    first = np.argpartition(draws, number - 1, axis=1)[:, :number]
    order = np.argsort(np.take_along_axis(draws, first, 1), axis=1)
    return np.take_along_axis(first, order, 1)


@functools.cache
def power_law(places: int, power: float) -> np.ndarray:
    """Returns the probabilities of places 1, 2, ...: proportional to place^(power - 1), [places].

    Args:
        places: how many there are.
        power: 1 makes all alike; a smaller one makes the first places more probable.
    """
    weights = np.arange(1, places + 1) ** (power - 1.0)
    return weights / weights.sum()


def without_answers(ids: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Returns targets: the ids, negative where there is no answer.

    Args:
        ids: [examples, length].
        answers: which of them are answers, [examples, length] bool.
    """
    return np.where(answers, ids, -ids).astype(np.int32)
