"""A split of a task as one stream of tokens, with the counts of the text that they stand for."""

import dataclasses
import hashlib

import numpy as np

from primer.data import preflight, streams
from primer.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Text:
    """Documents, each followed by its end token.

    Attributes:
      ids: the tokens, [tokens] int32.
      lengths: tokens of each document, its end token included, [documents].
      bytes: UTF-8 bytes of the documents before tokenization, and one for each document's end.
      words: words separated by white space, and where documents are lines (LM1B, WikiText, PTB)
        one for each line's end, blank lines included, as their papers count.
    """

    ids: np.ndarray
    lengths: np.ndarray
    bytes: int
    words: int

    @property
    def checksum(self) -> str:
        """Equal for two runs that score the same tokens in the same order."""
        return hashlib.sha256(self.ids.astype("<i4").tobytes()).hexdigest()[:16]


def read(task_name, split) -> Text:
    """The whole split of a task.

    Raises:
      UsageError: there is no such task or split, it cannot be read, or it is empty.
    """
    preflight.check(task_name, split)
    vocabulary = preflight.find(task_name).output_features["targets"].vocabulary
    text = of_documents(
        streams.documents(task_name, split), vocabulary.eos_id, streams.are_lines(task_name)
    )
    if not len(text.lengths):
        raise UsageError(f"task {task_name}: the split {split!r} has no document; nothing to score")
    return text


def of_documents(documents, end_token, are_lines=False) -> Text:
    """Joins pairs of (text, ids without end token); an end of a line counts as a word."""
    pieces, lengths, size, words = [], [], 0, 0
    end = np.array([end_token], np.int32)
    for document, ids in documents:
        pieces += [np.asarray(ids, np.int32), end]
        lengths.append(len(ids) + 1)
        size += len(streams.as_bytes(document)) + 1
        words += len(document.split()) + are_lines
    ids = np.concatenate(pieces) if pieces else np.zeros([0], np.int32)
    return Text(ids, np.array(lengths, np.int64), size, words)
