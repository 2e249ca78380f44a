"""The loss and the counts of each document, kept beside the row of an evaluated checkpoint.

Two models are compared document by document, and neither runs again for it. The sums of a row are
in `model_dir/eval/<task>_<split>_<protocol>.documents/<step>-<key>.parquet`. The key is a hash of
what identifies the row, so a row names no file, and a copied or moved directory keeps its sums. The
file is written before the row: a row without a file is one of an earlier version, or the file was
deleted or damaged, and its checkpoint is scored again.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from primer.common import files
from primer.evaluation import results, totals
from primer.evaluation.tokenized_split import TokenizedSplit

Row = Mapping[str, Any]

# Sums of equal settings on other devices agree to this, and those of other weights do not.
_TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class DocumentSums:
    """Sums of each document of a text, in the text's order; all [documents].

    Attributes:
        nats: -log p, float64.
        counts: "tokens", and where the data set keeps text "bytes", "characters" and "words" ->
            int64, counted as `primer.evaluation.tokenized_split.TokenizedSplit` does.
    """

    nats: np.ndarray
    counts: dict[str, np.ndarray]


def of_text(nats: np.ndarray, text: TokenizedSplit) -> DocumentSums:
    """Returns the sums of a text.

    Args:
        nats: -log p of each token of the text, [tokens].
        text: the documents.
    """
    counts = {
        "tokens": text.counted_lengths,
        "bytes": text.document_bytes,
        "characters": text.document_characters,
        "words": text.document_words,
    }
    known = {name: count for name, count in counts.items() if count is not None}
    return DocumentSums(totals.document_nats(nats, text), known)


def path_of(row: Row) -> str:
    """Returns where the sums of a row are.

    Args:
        row: has "model_dir" and the keys of `results.ALL`.
    """
    identity = json.dumps([row.get(key) for key in results.ALL])
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    folder = f"{row['task']}_{row['split']}_{row['protocol']}.documents"
    name = f"{row['step']}-{key}.parquet"
    return os.path.join(row["model_dir"], results.FOLDER, folder, name)


def write(row: Row, sums: DocumentSums) -> None:
    """Keeps the sums of a row; call it before the row is written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, sink = path_of(row), pa.BufferOutputStream()
    table = pa.table({"nats": sums.nats, **sums.counts})
    pq.write_table(table, sink, compression="zstd")
    tf.io.gfile.makedirs(os.path.dirname(path))
    files.write_whole(path, sink.getvalue().to_pybytes())


def read(row: Row) -> DocumentSums | None:
    """Returns the sums of a row; None if they are not kept, cannot be read or are of another row.

    Args:
        row: as for `path_of`, with "nats", "tokens" and "documents".
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with tf.io.gfile.GFile(path_of(row), "rb") as file:
            table = pq.read_table(pa.BufferReader(file.read()))
        columns = {name: table[name].to_numpy() for name in table.column_names}
        sums = DocumentSums(columns.pop("nats"), columns)
        return sums if _are_of_row(sums, row) else None
    except (*files.ERRORS, pa.ArrowException, LookupError, TypeError):
        return None


def _are_of_row(sums, row):
    """Whether the sums add up to the row's numbers."""
    return (
        len(sums.nats) == row["documents"]
        and sums.counts["tokens"].sum() == row["tokens"]
        and bool(np.isclose(sums.nats.sum(), row["nats"], rtol=_TOLERANCE, equal_nan=True))
    )
