"""A protocol on text that comes chunk by chunk: the numbers of the whole, in a small memory.

Documents that see nothing of each other (`document`, `packed`) are scored as they come. The windows
of a stream (`stream`, `sliding`) reach across chunks: those that are complete are scored, and the
tokens of the next one wait for more.
"""

import collections
from collections.abc import Iterator

import numpy as np

from primer.evaluation import tokenized_split as texts

_ALONE = ("document", "packed")


def scored(protocol, scorer, chunks, progress=None) -> Iterator:
    """-log p of each token of each chunk.

    Args:
        protocol: a `Protocol` other than as_released.
        scorer: a `Scorer` with the weights of a checkpoint.
        chunks: `documents.Chunk`s.
        progress: called with a number of tokens that were scored, or None.

    Yields:
        (chunk, nats [tokens] float32), in the order of the chunks.
    """
    if protocol.name in _ALONE:
        for chunk in chunks:
            yield chunk, protocol.token_nats(scorer, chunk.text, _counting(chunk.text, progress))
        return
    yield from _in_order(_Stream(protocol, scorer, progress), chunks)


def _in_order(stream, chunks):
    """Gives each chunk out when its last token has been scored."""
    waiting, nats = collections.deque(), np.zeros([0], np.float32)
    for chunk in chunks:
        waiting.append(chunk)
        nats = np.concatenate([nats, stream.more(chunk.text.ids)])
        while waiting and len(nats) >= len(waiting[0].text.ids):
            chunk = waiting.popleft()
            size = len(chunk.text.ids)
            yield chunk, nats[:size]
            nats = nats[size:]
    nats = np.concatenate([nats, stream.rest()])
    for chunk in waiting:
        size = len(chunk.text.ids)
        yield chunk, nats[:size]
        nats = nats[size:]


class _Stream:
    """The windows of a stream, those that are complete first."""

    def __init__(self, protocol, scorer, progress):
        self._protocol, self._scorer, self._progress = protocol, scorer, progress
        self._length = scorer.length
        self._stride = protocol.stride or scorer.length
        self._ids = np.zeros([0], np.int32)  # From the first token of the next window on.
        self._known = 0  # How many of these were scored in the windows before.

    def more(self, ids):
        """Takes tokens; the losses of those that complete windows have, [tokens] float32."""
        self._ids = np.concatenate([self._ids, ids])
        complete = (len(self._ids) - self._length) // self._stride + 1
        if complete < 1:
            return np.zeros([0], np.float32)
        nats = self._score((complete - 1) * self._stride + self._length)
        self._ids = self._ids[complete * self._stride :]
        self._known = self._length - self._stride
        return nats

    def rest(self):
        """The losses of the tokens that are left, in windows that nothing completes any more."""
        if len(self._ids) <= self._known:
            return np.zeros([0], np.float32)
        return self._score(len(self._ids))

    def _score(self, end):
        piece = texts.of_tokens(self._ids[:end], [end], 0)
        new = texts.of_tokens(self._ids[self._known : end], [end - self._known], 0)
        nats = self._protocol.token_nats(self._scorer, piece, _counting(new, self._progress))
        return nats[self._known :]


def _counting(text, progress):
    """Shares of a text, told as numbers of its tokens."""
    if progress is None:
        return None
    told = 0

    def tell(share):
        nonlocal told
        now = round(share * len(text.ids))
        progress(now - told)
        told = now

    return tell
