"""Indexes of records: read back, and refused where they are not of their records."""

import zlib

import numpy as np
import pytest

from primer.data.prepared import record_index

RECORDS = [b"first", b"", b"third record"]
PART = {"examples": 3, "tokens": 9, "size": sum(map(len, RECORDS)) + 3 * 16}


def write(path):
    return record_index.write(str(path), record_index.rows(RECORDS, [2, 0, 7]))


def test_an_index_is_read_back(tmp_path):
    size = write(tmp_path / "a.npy")
    assert size == (tmp_path / "a.npy").stat().st_size
    index = record_index.read(str(tmp_path / "a.npy"), PART)
    assert index.dtype == np.uint32
    assert index[:, 0].tolist() == [5, 0, 12] and index[:, 1].tolist() == [2, 0, 7]
    assert index[:, 2].tolist() == [zlib.crc32(record) for record in RECORDS]


def test_an_index_without_records(tmp_path):
    record_index.write(str(tmp_path / "a.npy"), [])
    nothing = {"examples": 0, "tokens": 0, "size": 0}
    assert record_index.read(str(tmp_path / "a.npy"), nothing).shape == (0, 3)


@pytest.mark.parametrize(
    "change, message",
    [({"examples": 4}, "it has"), ({"tokens": 8}, "its sums"), ({"size": 5}, "its sums")],
)
def test_an_index_of_other_records_is_refused(tmp_path, change, message):
    write(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=message):
        record_index.read(str(tmp_path / "a.npy"), {**PART, **change})


def test_python_objects_are_not_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        record_index.read(str(tmp_path / "a.npy"), PART)
