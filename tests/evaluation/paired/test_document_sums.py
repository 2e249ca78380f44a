"""Sums of documents: kept beside a row, and read back only if they are whole and of that row."""

import os
import shutil

import numpy as np
import pytest

from primer.evaluation import results, totals
from primer.evaluation.paired import document_sums
from primer.evaluation.tokenized_split import from_documents, from_tokens

TEXT = from_documents([("ab c", [5, 6, 7]), ("\u00e9", [9]), ("", [])], 1)
NATS = np.array([1, 2, 3, 0.5, 4, 0.25, 0.125], np.float32)


def row_of(model_dir, text=TEXT, nats=NATS, **changes):
    identity = {"task": "t", "split": "test", "protocol": "stream", "window": 4, "step": 3}
    settings = {**identity, "text_checksum": text.checksum, "primer": "0", "weights": "w3"}
    total = totals.total(nats, text).as_dict()
    return {"model_dir": str(model_dir), **total, **settings, **changes}


@pytest.fixture
def row(tmp_path):
    made = row_of(tmp_path / "run")
    document_sums.write(made, document_sums.of_text(NATS, TEXT))
    return made


def test_sums_are_read_back(row):
    found = document_sums.read(row)
    assert found.nats.tolist() == [6.5, 4.25, 0.125]
    assert {name: counts.tolist() for name, counts in found.counts.items()} == {
        "tokens": [4, 2, 1],
        "bytes": [5, 3, 1],
        "characters": [5, 2, 1],
        "words": [2, 1, 0],
    }


def test_a_text_of_tokens_alone_has_no_other_counts(tmp_path):
    text = from_tokens(np.full([7], 5), [3, 4], 1)
    made = row_of(tmp_path, text)
    document_sums.write(made, document_sums.of_text(NATS, text))
    assert list(document_sums.read(made).counts) == ["tokens"]


@pytest.mark.parametrize("key", results.ALL)
def test_another_checkpoint_or_setting_has_a_file_of_its_own(row, key):
    other = {**row, key: "another"}
    assert document_sums.path_of(other) != document_sums.path_of(row)
    assert document_sums.read(other) is None


def test_a_copied_directory_has_the_sums(row, tmp_path):
    copy = shutil.copytree(tmp_path / "run", tmp_path / "copy")
    shutil.rmtree(tmp_path / "run")
    assert document_sums.read({**row, "model_dir": str(copy)}).nats[0] == 6.5


@pytest.mark.parametrize("size", [0, 9, -1])
def test_a_truncated_file_is_not_read(row, size):
    path = document_sums.path_of(row)
    os.truncate(path, size if size >= 0 else os.path.getsize(path) + size)
    assert document_sums.read(row) is None


@pytest.mark.parametrize("key, value", [("nats", 10.9), ("tokens", 8), ("documents", 2)])
def test_sums_of_another_row_are_not_read(row, key, value):
    assert document_sums.read({**row, key: value}) is None


@pytest.mark.parametrize("columns", [{"nats": [10.875]}, {"tokens": [7]}, {"nats": ["x"]}])
def test_a_file_of_other_columns_is_not_read(row, columns):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), document_sums.path_of(row))
    assert document_sums.read({**row, "documents": 1}) is None


def test_sums_that_are_not_finite_are_kept(tmp_path):
    nats = NATS * np.nan
    made = row_of(tmp_path, nats=nats)
    document_sums.write(made, document_sums.of_text(nats, TEXT))
    assert np.isnan(document_sums.read(made).nats).all()
