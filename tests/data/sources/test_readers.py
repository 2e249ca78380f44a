"""Documents read in Python: the same as TensorFlow's, any part of a file, and errors with lines."""

import pytest

from primer.data import preflight
from primer.data.sources import readers, text_files, text_parts
from primer.data.sources.readers import FilePart
from primer.errors import UsageError
from tests.data.sources.text_task import bind, read, write, write_parquet

pytest.importorskip("pyarrow")
LINES = text_files.TextFiles(glob="*", unit="line")


TEXTS = ["plain words", "caf\xe9 \u2603 \U0001f600", "line\nline", "  blanks kept \t", "x" * 3000]


def test_python_and_tensorflow_read_the_same_documents(mixed_files, eager):
    """The same documents, in the same order."""
    write(mixed_files / "returns.txt", "\ufeffa\rb\r\n\x85c\u2028d\r")
    settings = text_files.TextFiles(glob=str(mixed_files / "*"))
    whole, _ = settings.whole_and_lines()
    assert settings.read_by_tensorflow(whole)

    def texts(dataset):
        return [element["text"] for element in dataset.as_numpy_iterator()]

    fast = texts(text_files.read_documents(whole))
    slow = texts(text_files._read_in_python(whole, [], settings))
    assert fast == slow and len(fast) > 3
    assert "a\nb\n\x85c\u2028d\n".encode() in fast


ENDS = ["\n", "\r", "\r\n", "\r\r\n", "\n\r"]


@pytest.mark.parametrize("chunk", [1, 2, 3, 1 << 20])
def test_byte_ranges_give_each_line_once(tmp_path, monkeypatch, chunk):
    """Also where a part or a chunk of reading ends within the two bytes of a line end."""
    monkeypatch.setattr(readers, "_CHUNK", chunk)
    path = tmp_path / "a.txt"
    contents = [
        f"one{end}two\x0b\x85\u2028{end}{end}three{last}" for end in ENDS for last in ("", end)
    ]
    for content in [*map(str.encode, contents), b"one", b"", b"\r", b"\n"]:
        path.write_bytes(content)
        expected = [line for line in content.replace(b"\r", b"\n").split(b"\n") if line]
        for cut in range(len(content) + 1):
            parts = [FilePart(str(path), 0, cut), FilePart(str(path), cut, None)]
            found = [line for p in parts for line in readers.read_documents(p, LINES)]
            assert found == expected, (content, cut)


def test_a_carriage_return_ends_a_line(tmp_path):
    (tmp_path / "a.txt").write_bytes("one\rtwo words\r\nthree\x0c\u2028still three".encode())
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "four"}\r{"text": "five"}\r\n')
    bind(glob=str(tmp_path / "*"), unit="line", held_out=0.0)
    expected = ["one", "two words", "three\x0c\u2028still three", "four", "five"]
    assert read() == expected
    found = text_parts.read_shard(0, 1, readers.SkipCounts())
    assert [text.decode() for _, text in found] == expected


def test_an_error_counts_lines_by_their_carriage_returns(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\rtwo\r\n\xff\n")
    bind(glob=str(tmp_path / "a.txt"), held_out=0.0)
    with pytest.raises(UsageError, match=r"not UTF-8 \(line 3: byte 0xff\)"):
        preflight.check_split("text", "train")


def test_parts_of_a_compressed_file_take_lines_in_turn(tmp_path):
    write(tmp_path / "a.txt.gz", "".join(f"{number}\n" for number in range(10)))
    part = FilePart(str(tmp_path / "a.txt.gz"), part=1, parts=3)
    assert list(readers.read_documents(part, LINES)) == [b"1", b"4", b"7"]


def test_documents_keep_the_numbers_of_their_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\n \n\xff\nfour\n")
    skipped = readers.SkipCounts()
    settings = text_files.TextFiles(glob="*", unit="line", on_bad_utf8="skip")
    part = FilePart(str(tmp_path / "a.txt"))
    found = list(readers.read_numbered_documents(part, settings, skipped))
    assert found == [(1, b"one"), (4, b"four")]
    assert skipped == readers.SkipCounts({part.path: 1}, empty=1)


def test_byte_order_marks_and_line_ends_are_cleaned():
    assert (
        readers.clean_utf8("\ufeffcaf\xe9\r\nnext\rlast".encode()) == "caf\xe9\nnext\nlast".encode()
    )
    with pytest.raises(UnicodeDecodeError):
        readers.clean_utf8(b"caf\xe9")


@pytest.mark.parametrize(
    "line", ['["text"]', '{"body": "x"}', '{"text": 1}', '{"text": "\\ud800"}']
)
def test_json_lines_without_a_text_raise(line):
    with pytest.raises(ValueError):
        readers.json_text(line, "text")


def test_a_column_of_parquet_is_read(tmp_path):
    write_parquet(tmp_path / "a.parquet", [*TEXTS, None, " "], "body")
    bind(glob=str(tmp_path / "a.parquet"), field="body", held_out=0.0)
    assert read() == TEXTS
    bind(field="text")
    with pytest.raises(UsageError, match=r"a.parquet cannot be read .*'text'.*body, number"):
        preflight.check_split("text", "train")
    bind(field="number")
    with pytest.raises(UsageError, match="int64 in the column 'number'"):
        preflight.check_split("text", "train")


@pytest.mark.parametrize("suffix", ["txt", "jsonl"])
def test_error_names_a_line_of_a_hundred_megabytes(tmp_path, suffix):
    path = tmp_path / f"long.{suffix}"
    with open(path, "wb") as file:
        file.write(b'{"text": "fine"}\n')
        for _ in range(100):
            file.write(b"a" * 1_000_000)
    bind(glob=str(path), unit="line", held_out=0.0)
    with pytest.raises(UsageError) as error:
        preflight.check_split("text", "train")
    assert all(part in str(error.value) for part in [str(path), "line 2", "max_document_bytes"])
    assert "\n" not in str(error.value)


def test_documents_that_are_not_utf8_are_left_out_and_counted(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"fine\ncaf\xe9\nfine too\n\xff\xfe\n")
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "good"}\n{"text": "caf\xe9"}\n')
    write_parquet(tmp_path / "c.parquet", [b"row", b"\xff"])
    bind(glob=str(tmp_path / "*"), unit="line", held_out=0.0)
    with pytest.raises(UsageError, match=r"a.txt is not UTF-8 \(line 2: byte 0xe9\).*'skip'"):
        preflight.check_split("text", "train")
    bind(on_bad_utf8="skip")
    remark = preflight.check_split("text", "train")
    assert "4 documents that are not UTF-8" in remark and "a.txt (2)" in remark
    assert read() == ["fine", "fine too", "good", "row"]
    notes = readers.SkipCounts()
    assert len(list(text_parts.read_shard(0, 1, notes))) == 4
    assert notes.not_utf8 == {
        str(tmp_path / "a.txt"): 2,
        str(tmp_path / "b.jsonl"): 1,
        str(tmp_path / "c.parquet"): 1,
    }


def test_texts_are_normalized_only_on_request(tmp_path):
    pytest.importorskip("ftfy")
    (tmp_path / "a.txt").write_text("\ufb01ne caf\u00c3\u00a9 \u201cquoted\u201d", encoding="utf-8")
    bind(glob=str(tmp_path / "a.txt"), held_out=0.0)
    assert read() == ["\ufb01ne caf\u00c3\u00a9 \u201cquoted\u201d"]
    bind(normalize="nfkc")
    assert read() == ['fine caf\xe9 "quoted"']
    bind(normalize="NFD")
    with pytest.raises(UsageError, match="text_files.normalize is 'NFD'; expected None or 'nfkc'"):
        preflight.check_split("text", "train")
