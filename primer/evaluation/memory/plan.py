"""What a model reads of a text under a protocol: windows, the token before each, and memory.

Where a model has memory, the first token of a window is predicted from the last one of the window
before it, as every other token of the text from the one before it; only a text's first token is
predicted from the start symbol.
"""

import dataclasses

import numpy as np

from primer.evaluation.memory import columns, tracks
from primer.evaluation.memory.reach import Memory
from primer.evaluation.tokenized_split import TokenizedSplit
from primer.evaluation.windows import cutting, packing
from primer.evaluation.windows.cutting import Windows


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a scorer reads.

    Attributes:
        windows: the windows, as `tracks.Tracks` has them if there is memory.
        inputs: what the model reads before it predicts each token, [tokens] int32.
        begins: whether a row begins with empty memory, [rows] bool; None without memory.
    """

    windows: Windows
    inputs: np.ndarray
    begins: np.ndarray | None


def make(
    name: str,
    text: TokenizedSplit,
    length: int,
    memory: Memory | None,
    batch_rows: int,
    recomputed: int = 0,
    previous: int = 0,
) -> Plan:
    """Returns what a scorer reads.

    Args:
        name: stream, document, packed or transformer_xl.
        text: the text.
        length: tokens of a row.
        memory: that of the model; None: none of the four but transformer_xl.
        batch_rows: rows of a batch.
        recomputed: of transformer_xl, its ext_len.
        previous: the token before the text where a stream goes on; 0 at its beginning.
    """
    if isinstance(text, columns.ColumnSplit):
        windows, continues = columns.cut(text, length, recomputed)
    elif name == "stream":
        windows = cutting.stream(text, length)
        continues = windows.starts > 0
    else:
        windows = _of_documents(name, text, length, memory)
        first = windows.starts[np.searchsorted(windows.rows, np.arange(windows.num_rows))]
        continues = ~np.isin(first, text.starts)
    inputs = np.concatenate([[previous], text.ids[:-1]]).astype(np.int32)
    if name in ("document", "packed"):
        inputs[text.starts] = 0
    if memory is None:
        return Plan(windows, inputs, None)
    # A part of a text whose rows overlap would need the rows of another cut before it.
    rows_before = len(continues) if recomputed else memory.rows_before(length)
    found = tracks.schedule(windows, continues, batch_rows, rows_before)
    return Plan(found.windows, inputs, found.begins)


def _of_documents(name, text, length, memory):
    """Cuts documents; `packed` packs those that fit into a row, where their place has no effect."""
    alone = cutting.documents(text, length)
    if name == "document" or memory.depends_on_place(length):
        return alone
    is_long = np.repeat(text.lengths > length, -(-text.lengths // length))
    rows = np.arange(len(is_long))
    columns_ = np.zeros_like(rows)
    rows[is_long] = np.arange(is_long.sum())
    short = ~is_long
    packed_rows, columns_[short] = packing.pack(alone.lengths[short], length)
    rows[short] = packed_rows + is_long.sum()
    order = np.lexsort((columns_, rows))
    arrays = (rows, columns_, alone.starts, alone.lengths, alone.contexts)
    return Windows(length, *(x[order] for x in arrays))
