"""Texts on the rows of batches: each row reads its text window after window.

A model with memory reads the windows of a text in order, each after the one before. In a batch of B
rows, B texts are read side by side: row b of a batch continues row b of the batch before, and where
a text ends another one begins with empty memory. So results do not depend on B.

A text that is longer than its share is cut into parts that are read side by side, each after as
many uncounted windows as can change it (`reach.Memory.rows_before`): the numbers are those of the
text read as a whole.
"""

import dataclasses
import heapq

import numpy as np

from primer.evaluation.windows.cutting import Windows, ranges


@dataclasses.dataclass(frozen=True)
class Tracks:
    """Windows in the order in which a scorer reads them.

    Attributes:
        windows: row r stands in row r mod B of batch r // B, and continues row r - B of it.
        begins: whether a row begins with empty memory, [rows] bool.
    """

    windows: Windows
    begins: np.ndarray


def schedule(windows: Windows, continues: np.ndarray, batch_rows: int, rows_before: int) -> Tracks:
    """Distributes windows over the rows of batches.

    Args:
        windows: windows in the order of the text; a row that continues another one has one piece.
        continues: whether each row continues the row before it, [rows] bool.
        batch_rows: rows of a batch, B.
        rows_before: how many rows before a row can change it.
    """
    firsts, counts, contexts = _parts(np.asarray(continues, bool), batch_rows, rows_before)
    sizes = counts + contexts
    tracks, steps = _places(sizes, batch_rows)
    # One element for each row that is read, those that are read again as context included.
    source = ranges(firsts - contexts, sizes)
    inner = ranges(np.zeros_like(sizes), sizes)
    counted = inner >= np.repeat(contexts, sizes)
    target = (np.repeat(steps, sizes) + inner) * batch_rows + np.repeat(tracks, sizes)
    order = np.argsort(target)
    source, target, inner, counted = (x[order] for x in (source, target, inner, counted))
    moved = _moved(windows, source, target, counted)
    begins = np.ones(moved.num_rows, bool)
    begins[target] = inner == 0
    return Tracks(moved, begins)


def _parts(continues, batch_rows, rows_before):
    """Cuts texts into parts of at most their share and the context.

    Returns:
        (first counted row, counted rows, rows of context before them), each [parts].
    """
    begins = np.flatnonzero(~continues)
    counts = np.diff(begins, append=len(continues))
    share = max(-(-len(continues) // batch_rows), 1)
    first = share + rows_before  # The rows of a text's first part, which needs no context.
    further = np.maximum(-(-(counts - first) // share), 0)
    inner = ranges(np.zeros_like(further), further + 1)
    is_first = inner == 0
    own = np.repeat(begins, further + 1)
    firsts = np.where(is_first, own, own + first + (inner - 1) * share)
    ends = np.append(firsts[1:], len(continues))
    return firsts, ends - firsts, np.where(is_first, 0, rows_before)


def _places(sizes, batch_rows):
    """Gives each part the row that is free first, the longest parts first.

    Returns:
        (row of the batch, number of its first batch), each [parts].
    """
    tracks, steps = np.zeros_like(sizes), np.zeros_like(sizes)
    free = [(0, track) for track in range(batch_rows)]
    for part in np.argsort(-sizes, kind="stable").tolist():
        step, track = free[0]
        tracks[part], steps[part] = track, step
        heapq.heapreplace(free, (step + int(sizes[part]), track))
    return tracks, steps


def _moved(windows, source, target, counted):
    """Returns the pieces of the rows `source` in the rows `target`, which ascend."""
    begins, ends = (np.searchsorted(windows.rows, source, side) for side in ("left", "right"))
    pieces = ranges(begins, ends - begins)
    repeats = ends - begins
    lengths = windows.lengths[pieces]
    contexts = np.where(np.repeat(counted, repeats), windows.contexts[pieces], lengths)
    return Windows(
        windows.length,
        np.repeat(target, repeats),
        windows.columns[pieces],
        windows.starts[pieces],
        lengths,
        contexts,
    )
