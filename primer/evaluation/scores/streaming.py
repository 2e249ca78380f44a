"""Applies a protocol to text that comes in chunks: the numbers of the whole, in bounded memory.

Protocols whose documents do not see each other (`document`, `packed`) score each chunk alone. The
windows of a stream (`stream`, `sliding`) span chunks: complete windows are scored, and the tokens
of the next window are kept until more come. With memory, so are the windows before it that can
change it (`reach.Memory.rows_before`), which are read again.
"""

import collections
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from primer.evaluation import tokenized_split
from primer.evaluation.protocols import Protocol
from primer.evaluation.scorer import Scorer
from primer.evaluation.scores.documents import Chunk

_CHUNKS_ALONE = ("document", "packed")


def score_chunks(
    protocol: Protocol,
    scorer: Scorer,
    chunks: Iterable[Chunk],
    progress: Callable[[int], None] | None = None,
) -> Iterator[tuple[Chunk, np.ndarray]]:
    """Yields each chunk with -log p of its tokens, in order.

    Args:
        protocol: any protocol other than as_released.
        scorer: has the weights of a checkpoint.
        chunks: the documents.
        progress: called with the number of tokens that each batch scored.

    Yields:
        (chunk, nats [tokens] float32).
    """
    if protocol.name in _CHUNKS_ALONE:
        for chunk in chunks:
            share_to_tokens = _share_to_tokens(len(chunk.text.ids), progress)
            yield chunk, protocol.token_nats(scorer, chunk.text, share_to_tokens)
        return
    yield from _in_order(_StreamScorer(protocol, scorer, progress), chunks)


def _in_order(stream, chunks):
    """Yields each chunk as soon as its last token has been scored."""
    waiting, nats = collections.deque(), np.zeros([0], np.float32)
    for chunk in chunks:
        waiting.append(chunk)
        nats = np.concatenate([nats, stream.add(chunk.text.ids)])
        while waiting and len(nats) >= len(waiting[0].text.ids):
            chunk = waiting.popleft()
            size = len(chunk.text.ids)
            yield chunk, nats[:size]
            nats = nats[size:]
    nats = np.concatenate([nats, stream.finish()])
    for chunk in waiting:
        size = len(chunk.text.ids)
        yield chunk, nats[:size]
        nats = nats[size:]


class _StreamScorer:
    """Scores the windows of a token stream as soon as they are complete."""

    def __init__(self, protocol, scorer, progress):
        self._protocol, self._scorer, self._progress = protocol, scorer, progress
        self._length = scorer.length
        self._stride = protocol.stride or scorer.length
        self._rows_before = scorer.memory.rows_before(self._length) if scorer.memory else 0
        self._ids = np.zeros([0], np.int32)  # From the first token of the next window on.
        self._num_scored = 0  # How many of these were scored in earlier windows.
        self._previous = 0  # The token before them.

    def add(self, ids):
        """Adds tokens; returns the losses of the windows that are now complete, [tokens]."""
        self._ids = np.concatenate([self._ids, ids])
        complete = (len(self._ids) - self._length) // self._stride + 1
        if complete < 1:
            return np.zeros([0], np.float32)
        end = (complete - 1) * self._stride + self._length
        if end <= self._num_scored:
            return np.zeros([0], np.float32)
        nats = self._score(end)
        first = max(complete - self._rows_before, 0) * self._stride
        if first:
            self._previous = int(self._ids[first - 1])
        self._ids = self._ids[first:]
        self._num_scored = end - first
        return nats

    def finish(self):
        """Returns the losses of the remaining tokens, in incomplete windows."""
        if len(self._ids) <= self._num_scored:
            return np.zeros([0], np.float32)
        return self._score(len(self._ids))

    def _score(self, end):
        piece = tokenized_split.from_tokens(self._ids[:end], [end], 0)
        share_to_tokens = _share_to_tokens(end - self._num_scored, self._progress)
        nats = self._protocol.token_nats(self._scorer, piece, share_to_tokens, self._previous)
        return nats[self._num_scored :]


def _share_to_tokens(number, progress):
    """A callback of shares of `number` tokens that calls `progress` with numbers of new tokens."""
    if progress is None:
        return None
    reported = 0

    def report(share):
        nonlocal reported
        done = round(share * number)
        progress(done - reported)
        reported = done

    return report
