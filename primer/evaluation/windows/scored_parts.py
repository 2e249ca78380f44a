"""Splits of which only some tokens are scored; the others are read.

A source with `marks_answers` gives tokens that are no answers their negative id, as Mesh-TensorFlow
marks targets without a loss (`primer.data.probes`).
"""

import dataclasses
import functools
import hashlib
from typing import ClassVar

import numpy as np
import seqio

from primer.data import preflight, whole_documents
from primer.errors import UsageError
from primer.evaluation.tokenized_split import TokenizedSplit

# The protocols that show a model an example alone, and score each of its tokens once.
PROTOCOLS = ("packed", "document")


@dataclasses.dataclass(frozen=True)
class PartlyScoredSplit(TokenizedSplit):
    """A split of which some tokens are scored.

    It has no counts of bytes, characters or words: the loss is that of a part of the text.

    Attributes:
        predicted: whether the token is scored, [tokens] bool.
    """

    predicted: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros([0], bool))

    @property
    def counted_lengths(self) -> np.ndarray:
        """The scored tokens of each document, [documents] int64."""
        return np.add.reduceat(self.predicted, self.starts, dtype=np.int64)

    def scored_alone(self, values: np.ndarray) -> np.ndarray:
        """As that of `TokenizedSplit`."""
        return values * self.predicted

    @functools.cached_property
    def checksum(self) -> str:
        """As that of `TokenizedSplit`, of all that decides the loss."""
        digest = hashlib.sha256()
        for values in self._content:
            digest.update(np.ascontiguousarray(values, "<i4").data)
        return digest.hexdigest()[:16]

    @property
    def _content(self) -> tuple[np.ndarray, ...]:
        return self.ids, self.predicted


@dataclasses.dataclass(frozen=True)
class AnswerSplit(PartlyScoredSplit):
    """The examples of a split, of which the answers are scored."""

    counted: ClassVar[str] = "answers"


def is_of_answers(text: TokenizedSplit) -> bool:
    """Returns whether only the answers of a text are scored."""
    return isinstance(text, AnswerSplit)


def marks_answers(task_name: str) -> bool:
    """Returns whether the examples of a task, or of all tasks of a mixture, mark their answers.

    Raises:
        UsageError: there is no such task, or some of a mixture do and others do not.
    """
    tasks = seqio.get_subtasks(preflight.find_task(task_name))
    marked = [getattr(task.source, "marks_answers", False) for task in tasks]
    if any(marked) and not all(marked):
        raise UsageError(
            f"the mixture {task_name!r} has tasks of which all tokens are scored, and others of "
            "which only the answers are; evaluate the tasks one by one"
        )
    return any(marked)


def check_protocol(name: str, task_name: str) -> None:
    """Raises UsageError for a protocol that cannot score the answers of a task.

    Args:
        name: the protocol.
        task_name: a task or mixture; one without marked answers has all protocols.
    """
    if name not in PROTOCOLS and marks_answers(task_name):
        raise UsageError(
            f"protocol.name = {name!r} (--protocol): only the answers of task {task_name} are "
            f"scored, in examples that do not see each other; expected {' or '.join(PROTOCOLS)}"
        )


def read_answers(task_name: str, split: str) -> AnswerSplit:
    """Reads a whole split of a task whose source marks the answers.

    Raises:
        UsageError: the split does not exist or has no end.
    """
    batches = list(whole_documents.batches(task_name, split))
    ids = np.concatenate([batch.ids for batch in batches])
    lengths = np.concatenate([batch.lengths for batch in batches])
    no_ends = np.zeros([0], np.int64)  # Examples have no end tokens.
    return AnswerSplit(np.abs(ids), lengths, no_ends, predicted=ids > 0)


def describe(split: str, length: int) -> str:
    """Returns a sentence on what a number counts.

    Args:
        split: the name of the split.
        length: tokens of a window.
    """
    return (
        f"Answers of the whole {split} split, each scored once; all other tokens are only read: "
        f"each example alone, in windows of {length} tokens."
    )
