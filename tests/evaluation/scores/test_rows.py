"""The columns of `primer score`: counts, losses and tokens of each document."""

import numpy as np

from primer.evaluation import tokenized_split
from primer.evaluation.scores import documents, rows


def test_records_without_text_have_no_bytes():
    chunk = documents.Chunk(
        ["f"] * 2, [1, 2], tokenized_split.from_tokens(np.array([5, 1, 6]), [2, 1], 1)
    )
    columns = rows.make_columns(chunk, np.array([1, 2, 4], np.float32), {"step": 3}, list)
    assert columns["bytes"] == columns["words"] == [None, None] and columns["step"] == [3, 3]
    assert columns["nats"] == [3, 4] and columns["end_nats"] == [2, 0]
    assert columns["end"] == [1, None]
