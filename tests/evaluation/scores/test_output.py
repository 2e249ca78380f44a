"""Files of scores: whole or not at all, JSON without nan, Parquet with the same values."""

import io
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from primer.errors import RunError, UsageError
from primer.evaluation import tokenized_split
from primer.evaluation.scores import documents, output, rows


def test_a_model_that_has_diverged_writes_null():
    stream = io.BytesIO()
    chunk = documents.Chunk(["f"], [1], tokenized_split.from_documents([("ab", [5, 6])], 1))
    columns = rows.make_columns(chunk, np.array([1, np.nan, np.inf], np.float32), {}, str)
    output._JsonLines(stream).write(columns)
    row = json.loads(stream.getvalue(), parse_constant=lambda name: 1 / 0)
    assert row["nats"] is None and row["log_probs"] == [-1.0, None, None]


COLUMNS = {"source": ["a", "b"], "document": [1, 2], "nats": [0.5, 2.0], "pieces": [["x"], []]}
ROWS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]


@pytest.mark.parametrize("folder", ["", "ram://bucket/"], ids=["local", "remote"])
@pytest.mark.parametrize("form", output.FORMATS)
def test_a_file_has_all_rows_and_is_written_whole(folder, form, tmp_path):
    folder = folder or f"{tmp_path}/new/"
    path = f"{folder}scores.{form}"
    with output.open_writer(path, form, {"step": 3}) as write:
        write(COLUMNS)
        assert not tf.io.gfile.exists(path)
        write(COLUMNS)
    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    if form == "parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(io.BytesIO(content))
        assert table.to_pylist() == ROWS * 2
        assert table.schema.metadata[b"primer.step"] == b"3"
    else:
        assert [json.loads(line) for line in content.splitlines()] == ROWS * 2
    if folder != "ram://bucket/":
        assert os.listdir(folder) == [f"scores.{form}"]


@pytest.mark.parametrize("error", [UsageError("a damaged file"), OSError("a lost disk")])
def test_an_error_of_the_block_leaves_the_earlier_file(error, tmp_path):
    path = tmp_path / "scores.jsonl"
    path.write_text("from before")
    with pytest.raises(type(error), match=str(error)):
        with output.open_writer(str(path), "jsonl", {}) as write:
            write(COLUMNS)
            raise error
    assert path.read_text() == "from before" and os.listdir(tmp_path) == ["scores.jsonl"]


def test_rows_go_to_standard_output_by_default(capsys):
    with output.open_writer(None, "jsonl", {}) as write:
        write(COLUMNS)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS


def test_a_file_that_cannot_be_opened_or_renamed_is_named(tmp_path):
    with pytest.raises(UsageError, match="/proc/no/x.* cannot be written"):
        with output.open_writer("/proc/no/x", "jsonl", {}):
            pass
    with pytest.raises(RunError, match="taken cannot be written"):
        with output.open_writer(str(tmp_path / "taken"), "jsonl", {}) as write:
            write(COLUMNS)
            (tmp_path / "taken" / "in").mkdir(parents=True)


@pytest.mark.parametrize(
    "path, form, message",
    [
        ("x", "xml", "score_texts.format = 'xml' .*expected jsonl or parquet"),
        (None, "parquet", "name a file with --output"),
        (".", "jsonl", "score_texts.output = '.' .*is a folder"),
    ],
)
def test_outputs_that_cannot_work_are_refused(path, form, message):
    with pytest.raises(UsageError, match=message):
        output.check_output(path, form)
