"""The index of a shard's records, which lets training read any of them without those before it.

It is a numpy file beside the shard, uint32 [records, 3]: the bytes, the tokens and the checksum
(zlib.crc32) of each record in the order of the file.
"""

import io
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from primer.common import files

# In a TFRecord file the length and its checksum are before a record, and its own checksum after it.
BYTES_BEFORE = 12
BYTES_AFTER = 4
BYTES_AROUND = BYTES_BEFORE + BYTES_AFTER
COLUMNS = 3


def rows(records: Iterable[bytes], lengths: Iterable[int]) -> list[tuple[int, int, int]]:
    """Returns the index of records.

    Args:
        records: the records.
        lengths: the tokens of each.
    """
    return [
        (len(record), tokens, zlib.crc32(record))
        for record, tokens in zip(records, lengths, strict=True)
    ]


def write(path: str, columns: list[tuple[int, int, int]]) -> int:
    """Writes an index whole or not at all; returns its bytes."""
    content = io.BytesIO()
    np.save(content, np.array(columns, np.uint32).reshape(-1, COLUMNS))
    files.write_whole(path, content.getvalue())
    return len(content.getvalue())


def read(path: str, part: dict[str, Any]) -> np.ndarray:
    """Returns the index of a shard's part of a split, [records, 3] uint32.

    Args:
        path: the index.
        part: the manifest's entry about the shard's part of the split.

    Raises:
        ValueError: the file is damaged or is the index of other records.
        OSError, tf.errors.OpError: it cannot be read.
    """
    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    index = np.load(io.BytesIO(content), allow_pickle=False)
    if index.dtype != np.uint32 or index.shape != (part["examples"], COLUMNS):
        raise ValueError(f"it has {index.shape} numbers of {index.dtype}")
    sizes, tokens = index[:, :2].sum(0, dtype=np.int64).tolist()
    if (sizes + BYTES_AROUND * len(index), tokens) != (part["size"], part["tokens"]):
        raise ValueError("its sums are not those of primer.json")
    return index
