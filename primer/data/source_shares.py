"""The share of each source of a text in the first rows of training, beside its share of all tokens.

In a well mixed order the two differ by the error of sampling: of n rows, a source of share p has a
share with the standard error sqrt(p (1 - p) / n) where every row has one source, and a smaller one
where rows have several.
"""

import collections
import dataclasses
import math

import seqio
import tensorflow.compat.v1 as tf

from primer.common import tf_data
from primer.data import preflight, source_labels


@dataclasses.dataclass(frozen=True)
class SourceShare:
    """A source and its shares.

    Attributes:
        name: a file, or a task.
        expected: its share of all tokens, or in a mixture of rows.
        drawn: its share of the tokens of the first rows.
        error: the standard error of `drawn`.
    """

    name: str
    expected: float
    drawn: float
    error: float

    def errors_off(self) -> float:
        """Returns the difference of the shares in standard errors."""
        difference = abs(self.drawn - self.expected)
        return difference / self.error if self.error else 0.0


def source_shares(
    task_name: str, split: str, length: int, rows: int, seed: int
) -> list[SourceShare]:
    """Returns the shares of all sources, in the order of their names in the task or mixture.

    Args:
        task_name: a task, whose sources are its files, or a mixture, whose sources are its tasks.
        split: the split.
        length: tokens of a row.
        rows: the number of rows, from the first on.
        seed: the seed of the run's data order.

    Raises:
        UsageError: the split cannot be read.
    """
    preflight.check_split(task_name, split)
    found = preflight.find_task(task_name)
    is_mixture = not isinstance(found, seqio.Task)
    first = found.output_features["targets"].vocabulary.vocab_size
    labels = source_labels.SourceLabels(is_mixture, first)

    def labelled_rows():
        tf.set_random_seed(seed)
        with source_labels.labelling(labels):
            dataset = found.get_dataset(
                {"inputs": 1, "targets": length}, split, num_epochs=None, seed=seed
            )
        return dataset.map(lambda example: example["targets"]).take(rows)

    drawn: collections.Counter[str] = collections.Counter()
    for ids in tf_data.elements(labelled_rows):
        drawn.update(labels.count(ids))
    expected = _rates(found) if is_mixture else labels.tokens
    return _shares(expected, drawn, rows)


def _rates(mixture):
    return {task.name: mixture.get_rate(task) for task in mixture.tasks}


def _shares(expected, drawn, rows):
    # A task that streams its documents does not know their tokens: it is a single source.
    total, read = sum(expected.values()), drawn.total()
    shares = []
    for name, size in expected.items():
        share = size / total if total else 1.0
        error = math.sqrt(share * (1 - share) / rows)
        shares.append(SourceShare(name, share, drawn[name] / read if read else 0.0, error))
    return shares
