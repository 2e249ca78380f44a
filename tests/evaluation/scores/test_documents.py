"""Documents of files and splits: order, numbers, tokens, chunks."""

import gin
import numpy as np
import pytest
import seqio

import primer.data.tasks  # noqa: F401
from primer.errors import UsageError
from primer.evaluation import tokenized_split
from primer.evaluation.scores import documents

BYTES = seqio.ByteVocabulary(0)
LINES = ["first", "", "caf\u00e9", "  ", "last one"]


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return str(path)


def read(patterns, unit="line"):
    return list(documents.read_files(*documents.find_files(patterns, unit, "text"), BYTES, False))


def test_lines_keep_their_numbers_and_blank_ones_are_skipped(lines):
    (chunk,) = read([lines])
    assert chunk.numbers == [1, 3, 5] and chunk.sources == [lines] * 3
    kept = [line for line in LINES if line.strip()]
    ids = [i for line in kept for i in [*(byte + 3 for byte in line.encode()), 1]]
    assert chunk.text.ids.tolist() == ids
    assert chunk.text.document_bytes.tolist() == [len(line.encode()) + 1 for line in kept]
    assert chunk.text.document_characters.tolist() == [len(line) + 1 for line in kept]


def test_files_come_in_the_order_of_their_patterns(lines, tmp_path):
    for name in "ba":
        (tmp_path / f"{name}.txt").write_text(name)
    (chunk,) = read([lines, f"{tmp_path}/?.txt"], "file")
    assert [source.rsplit("/", 1)[1] for source in chunk.sources] == ["lines.txt", "a.txt", "b.txt"]
    assert chunk.numbers == [1, 1, 1]


@pytest.mark.parametrize("most", [1, 2, 3, 8])
def test_chunks_join_to_all_documents(lines, most, monkeypatch):
    monkeypatch.setattr(documents, "_MAX_DOCUMENTS", most)
    chunks = read([lines])
    assert [len(chunk.numbers) for chunk in chunks] == {1: [1] * 3, 2: [2, 1]}.get(most, [3])
    assert [number for chunk in chunks for number in chunk.numbers] == [1, 3, 5]


def test_a_split_is_what_an_evaluation_reads(monkeypatch):
    monkeypatch.setattr(documents, "_MAX_DOCUMENTS", 5)
    whole = tokenized_split.read_split("sotu", "validation")
    chunks = list(documents.read_split("sotu", "validation"))
    assert [len(chunk.numbers) for chunk in chunks] == [5, 5, 2]
    np.testing.assert_array_equal(np.concatenate([c.text.ids for c in chunks]), whole.ids)
    assert sum(chunk.text.words for chunk in chunks) == whole.words
    assert {source for chunk in chunks for source in chunk.sources} == {"sotu/validation"}


def test_records_without_text_are_one_chunk(tmp_path):
    from tests.evaluation.test_totals import write_records

    write_records(tmp_path / "validation_0_2.tfrecords", [5, 6, 1, 7], [8, 1])
    gin.bind_parameter("gpt_neo_records.validation_glob", str(tmp_path / "*"))
    (chunk,) = documents.read_split("gpt_neo_records", "validation")
    assert chunk.text.lengths.tolist() == [3, 3] and chunk.numbers == [1, 2]


@pytest.mark.parametrize(
    "name, unit, message",
    [
        ("lines.txt", "word", "score_texts.unit = 'word' .*expected file or line"),
        ("nowhere.txt", "line", "nowhere.txt"),
        ("lines.md", "line", "lines.md: expected files that end in .*parquet"),
    ],
)
def test_files_that_cannot_be_read_are_refused(lines, tmp_path, name, unit, message):
    (tmp_path / "lines.md").write_text("a text")
    with pytest.raises(UsageError, match=message):
        documents.find_files([str(tmp_path / name)], unit, "text")
