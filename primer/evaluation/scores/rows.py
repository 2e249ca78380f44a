"""The rows of `primer score`: counts and loss of each document, log-probabilities of its tokens."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from primer.evaluation import totals
from primer.evaluation.scores.documents import Chunk

COUNTS = ("tokens", "bytes", "characters", "words")
TOKEN_COLUMNS = ("ids", "pieces", "log_probs", "end")


def make_columns(
    chunk: Chunk,
    nats: np.ndarray,
    constants: Mapping[str, Any],
    pieces: Callable[[Sequence[int]], list] | None = None,
) -> dict[str, list]:
    """Returns the rows of a chunk as columns, each a list with one value per document.

    Args:
        chunk: the documents.
        nats: -log p of each of their tokens, [tokens] float32.
        constants: name -> value of columns that are the same in every row.
        pieces: `TokenPieces`, for the columns of tokens; None leaves these out.

    Returns:
        `source` and `document`; `nats`, the sum of -log p over the document's tokens with its end
        token, in float64; `end_nats`, the end token's part; `tokens`, `bytes`, `characters` and
        `words`, counted as by `primer eval`, None where there is no text. With pieces also the
        lists `ids` (those of the vocabulary's own file), `pieces` and `log_probs` (natural, the
        float32 values), and `end`, the index of the end token in these lists, or None.
    """
    text = chunk.text
    number = len(text.lengths)
    ends = np.zeros_like(nats)
    ends[text.ends] = nats[text.ends]
    counts = (text.lengths, text.document_bytes, text.document_characters, text.document_words)
    columns = {
        "source": chunk.sources,
        "document": chunk.numbers,
        "nats": totals.document_nats(nats, text).tolist(),
        "end_nats": totals.document_nats(ends, text).tolist(),
        **{
            name: [None] * number if count is None else count.tolist()
            for name, count in zip(COUNTS, counts, strict=True)
        },
        **{name: [value] * number for name, value in constants.items()},
    }
    return columns | _token_columns(text, nats, pieces) if pieces else columns


def _token_columns(text, nats, pieces):
    places = text.starts[1:]
    ids = [part.tolist() for part in np.split(text.ids, places)]
    offset = getattr(pieces, "id_offset", 0)  # Of `TokenPieces`.
    last = text.starts + text.lengths - 1
    has_end = np.isin(last, text.ends)
    ends = np.where(has_end, text.lengths - 1, -1).tolist()
    values = (
        [[number - offset for number in part] for part in ids],
        [pieces(part) for part in ids],
        [part.tolist() for part in np.split(-nats, places)],
        [None if end < 0 else end for end in ends],
    )
    return dict(zip(TOKEN_COLUMNS, values, strict=True))
