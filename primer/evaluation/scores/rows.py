"""One row a document: what is counted, its loss, and on request each token's log-probability."""

import numpy as np

from primer.evaluation import totals

COUNTS = ("tokens", "bytes", "characters", "words")
TOKEN_COLUMNS = ("ids", "pieces", "log_probs", "end")


def columns(chunk, nats, constants, pieces=None) -> dict:
    """The rows of a chunk as columns: name -> a list with a value for each document.

    Args:
        chunk: a `documents.Chunk`.
        nats: -log p of each of its tokens, [tokens] float32.
        constants: name -> what is the same in every row.
        pieces: a `Pieces` for the columns of tokens, or None for none.

    Returns:
        `source`, `document`; `nats`, the sum of -log p over the document's tokens, its end token
        among them, in float64, and `end_nats`, the end token's part; `tokens`, `bytes`,
            `characters`
        and `words`, ends counted as `primer eval` counts them, None where there is no text. With
        pieces also lists of `ids`, `pieces` and `log_probs` (log p, natural, as the float32 that
            they
        are), and `end`, the place of the end token in them, None without one.
    """
    text = chunk.text
    number = len(text.lengths)
    ends = np.zeros_like(nats)
    ends[text.ends] = nats[text.ends]
    counts = (text.lengths, text.document_bytes, text.document_characters, text.document_words)
    found = {
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
    return found | _token_columns(text, nats, pieces) if pieces else found


def _token_columns(text, nats, pieces):
    places = text.starts[1:]
    ids = [part.tolist() for part in np.split(text.ids, places)]
    last = text.starts + text.lengths - 1
    has_end = np.isin(last, text.ends)
    ends = np.where(has_end, text.lengths - 1, -1).tolist()
    values = (
        ids,
        [pieces(part) for part in ids],
        [part.tolist() for part in np.split(-nats, places)],
        [None if end < 0 else end for end in ends],
    )
    return dict(zip(TOKEN_COLUMNS, values, strict=True))
