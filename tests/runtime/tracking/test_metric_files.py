"""Tables of a run's numbers give back the same numbers."""

import csv
import io
import json
import math

import pyarrow.parquet as pq

from primer.runtime.tracking import metric_files
from primer.runtime.tracking.event_files import Scalar

ROWS = [
    Scalar("train", 1, "loss", 0.1 + 0.2, 1e9 + 0.123456),
    Scalar("train", 2, 'a,"b"', math.nan, 1e9),
    Scalar("eval/x", 3, "é", -math.inf, 1e9),
]


def same(value, expected):
    return value == expected or (math.isnan(value) and math.isnan(expected))


def test_csv():
    text = metric_files.content(ROWS, "a.csv").decode()
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["source", "step", "tag", "value", "wall_time"]
    for row, expected in zip(rows[1:], ROWS, strict=True):
        assert (row[0], int(row[1]), row[2]) == expected[:3]
        assert same(float(row[3]), expected.value) and float(row[4]) == expected.wall_time


def test_json_lines():
    lines = metric_files.content(ROWS, "a.jsonl").decode().splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows[0] == ROWS[0]._asdict()
    assert [row["value"] for row in rows[1:]] == [None, None]


def test_parquet():
    table = pq.read_table(io.BytesIO(metric_files.content(ROWS, "a.parquet")))
    assert table.column_names == list(Scalar._fields)
    for row, expected in zip(table.to_pylist(), ROWS, strict=True):
        assert tuple(row.values())[:3] == expected[:3] and same(row["value"], expected.value)
    assert pq.read_table(io.BytesIO(metric_files.content([], "a.parquet"))).num_rows == 0
