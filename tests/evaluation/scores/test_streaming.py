"""Chunks of a text give the numbers of the whole text, for every protocol."""

import numpy as np
import pytest

from primer.evaluation import protocols, tokenized_split
from primer.evaluation.scores import documents, streaming


class Counting:
    """Stands in for a scorer: a token's loss is how many stand before it in its row."""

    length, rows, memory = 5, 3, None

    def nats(self, targets, segments):
        place = np.broadcast_to(np.arange(targets.shape[1]), targets.shape)
        first = np.diff(segments, axis=1, prepend=0) != 0
        begins = np.maximum.accumulate(np.where(first, place, 0), axis=1)
        return np.where(segments > 0, place - begins + 1, 0).astype(np.float32)


@pytest.mark.parametrize(
    "protocol",
    [("stream",), ("document",), ("packed",), *(("sliding", stride) for stride in (1, 2, 4, 5))],
)
@pytest.mark.parametrize("seed", range(4))
def test_chunks_give_the_numbers_of_the_whole(protocol, seed):
    generator = np.random.default_rng(seed)
    protocol = protocols.Protocol(*protocol)
    chunks = []
    for number in generator.integers(1, 5, generator.integers(1, 8)):
        lengths = generator.integers(1, [2, 30][seed % 2], number)
        ids = generator.integers(2, 9, lengths.sum()).astype(np.int32)
        chunks.append(documents.Chunk([], [], tokenized_split.from_tokens(ids, lengths, 1)))
    scored = []
    found = list(streaming.score_chunks(protocol, Counting(), iter(chunks), scored.append))
    assert [chunk for chunk, _ in found] == chunks
    ids, lengths = (
        np.concatenate([getattr(chunk.text, name) for chunk in chunks])
        for name in ("ids", "lengths")
    )
    expected = protocol.token_nats(Counting(), tokenized_split.from_tokens(ids, lengths, 1))
    np.testing.assert_array_equal(np.concatenate([nats for _, nats in found]), expected)
    assert sum(scored) == len(ids) and all(len(c.text.ids) == len(nats) for c, nats in found)
