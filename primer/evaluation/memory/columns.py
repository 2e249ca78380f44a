"""The protocol `transformer_xl`: what the evaluation scripts of Transformer-XL count.

`LMOrderedIterator` of https://github.com/kimiyoung/transformer-xl (pytorch/data_utils.py) cuts the
N tokens of a split into B columns of n = N // B tokens; the N mod B tokens at the end are left out.
A model reads the columns side by side, `tgt_len` tokens at a time, and carries its memory. The
first token of a column is only read. So N - B - N mod B tokens are scored, and eval.py reports

    loss = sum over segments of (length * mean loss of the segment) / sum of lengths,

which is their mean, as bits per character (loss / ln 2) or perplexity (exp(loss)).

With `ext_len`, a segment is computed together with that many tokens before it, which the segment
before it has scored; the memory ends before these.
"""

import dataclasses

import numpy as np

from primer.errors import UsageError
from primer.evaluation import tokenized_split
from primer.evaluation.memory.reach import Memory
from primer.evaluation.tokenized_split import TokenizedSplit
from primer.evaluation.windows.cutting import Windows

COLUMNS = 10  # The batch size of the original's eval.py.


@dataclasses.dataclass(frozen=True)
class ColumnSplit(TokenizedSplit):
    """A split in columns, of which some tokens are not scored.

    Bytes, characters and words are known where each of them is a token: of the scored tokens.

    Attributes:
        columns: the number of columns, B.
    """

    columns: int = COLUMNS

    @property
    def column_length(self) -> int:
        """Tokens of a column, n."""
        return len(self.ids) // self.columns

    @property
    def scored(self) -> np.ndarray:
        """Whether a token is scored, [tokens] bool."""
        index = np.arange(len(self.ids))
        return (index % self.column_length != 0) & (index < self.columns * self.column_length)

    @property
    def counted_lengths(self) -> np.ndarray:
        """The scored tokens of each document, [documents] int64."""
        return np.add.reduceat(self.scored, self.starts, dtype=np.int64)


def read_split(task_name: str, split: str, columns: int) -> ColumnSplit:
    """Reads a whole split.

    Raises:
        UsageError: the split cannot be read or is empty, or has fewer than two tokens for each
            column.
    """
    return of_text(tokenized_split.read_split(task_name, split), columns)


def of_text(text: TokenizedSplit, columns: int) -> ColumnSplit:
    """Returns a text in columns; raises as `read_split`."""
    number = len(text.ids)
    if number < 2 * columns:
        raise UsageError(
            f"protocol.columns = {columns} (--columns): a column needs two tokens or more, of "
            f"which the first is not scored, and the text has {number:,}; expected at most "
            f"{number // 2} columns"
        )
    made = ColumnSplit(text.ids, text.lengths, text.ends, changes=text.changes, columns=columns)

    def scored(counts: np.ndarray | None) -> np.ndarray | None:
        is_token = counts is not None and np.array_equal(counts, text.lengths)
        return made.counted_lengths if is_token else None

    return dataclasses.replace(
        made,
        document_bytes=scored(text.document_bytes),
        document_characters=scored(text.document_characters),
        document_words=scored(text.document_words),
    )


def target_length(length: int, memory: Memory | None) -> int:
    """Returns the original's tgt_len: the tokens of a segment.

    Args:
        length: tokens of the model's window.
        memory: that of the model.
    """
    return length if memory is None else memory.segment_length or length


def row_length(length: int, memory: Memory | None, ext_len: int) -> int:
    """Returns the tokens of a row that a scorer reads: a segment, or with memory several.

    Args:
        length, memory: as for `target_length`.
        ext_len: tokens before a segment that are computed again.
    """
    segment = target_length(length, memory)
    return ext_len + segment if ext_len else segment * max(length // segment, 1)


def cut(text: ColumnSplit, row_length: int, ext_len: int) -> tuple[Windows, np.ndarray]:
    """Cuts columns into rows.

    Args:
        text: the split.
        row_length: tokens of a row, those that are computed again included.
        ext_len: how many these are.

    Returns:
        (windows, whether a row continues the row before it [rows] bool).
    """
    step = row_length - ext_len
    scored = text.column_length - 1
    in_column = np.arange(0, scored, step)
    first = np.repeat(np.arange(text.columns) * text.column_length + 1, len(in_column))
    begins = np.tile(in_column, text.columns)
    contexts = np.minimum(begins, ext_len)
    rows = np.arange(len(begins))
    ends = np.minimum(begins + step, scored)
    starts = begins - contexts
    windows = Windows(
        row_length, rows, np.zeros_like(rows), first + starts, ends - starts, contexts
    )
    return windows, begins > 0


def describe(
    split: str, row_length: int, memory: Memory | None, ext_len: int, text: ColumnSplit
) -> str:
    """Returns sentences on what a number of the protocol counts, in the original's words.

    Args:
        split: the name of the split.
        row_length, ext_len: as for `cut`.
        memory: that of the model.
        text: the split.
    """
    number, scored = len(text.ids), int(text.scored.sum())
    clamp = memory.clamp_length if memory else None
    settings = {
        "tgt_len": target_length(row_length - ext_len, memory),
        "mem_len": memory.memory_length if memory else 0,
        "ext_len": ext_len,
        "clamp_len": "none" if clamp is None else clamp,
        "same_length": "yes" if memory and memory.same_length else "no",
    }
    return (
        f"As Transformer-XL's scripts count the {split} split: {text.columns} columns of "
        f"{text.column_length:,} tokens read side by side, "
        f"{', '.join(f'{name} {value}' for name, value in settings.items())}; "
        f"{number - scored:,} of {number:,} tokens are not scored (the first of each column"
        f"{_tail(text)})."
    )


def _tail(text):
    left_out = len(text.ids) % text.columns
    return f", and {left_out} at the end" if left_out else ""
