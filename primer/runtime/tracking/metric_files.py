"""Writes the numbers of a run as a table: CSV, JSON lines or Parquet, a row for each number."""

import csv
import io
import json
import math
from collections.abc import Sequence

from primer.runtime.tracking.event_files import Scalar


def content(scalars: Sequence[Scalar], path: str) -> bytes:
    """Returns the content of a file whose name ends in .csv, .jsonl or .parquet.

    Numbers are written so that they are read back unchanged. NaN and infinite ones are `nan`, `inf`
    and `-inf` in CSV, and null in JSON, which has no others.

    Args:
        scalars: the rows.
        path: the name of the file.
    """
    if path.endswith(".parquet"):
        return _parquet(scalars)
    return (_lines if path.endswith(".jsonl") else _csv)(scalars).encode()


def _csv(scalars):
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Scalar._fields)
    writer.writerows(scalars)
    return text.getvalue()


def _lines(scalars):
    rows = (scalar._asdict() for scalar in scalars)
    finite = (
        {**row, "value": row["value"] if math.isfinite(row["value"]) else None} for row in rows
    )
    return "".join(json.dumps(row) + "\n" for row in finite)


def _parquet(scalars):
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = [pa.string(), pa.int64(), pa.string(), pa.float64(), pa.float64()]
    columns = list(zip(*scalars, strict=True)) or [[] for _ in types]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    buffer = io.BytesIO()
    pq.write_table(pa.table(arrays, names=list(Scalar._fields)), buffer)
    return buffer.getvalue()
