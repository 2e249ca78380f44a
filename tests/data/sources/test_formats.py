"""Every format through one reader: the same documents as TensorFlow's, and damage named."""

import gzip
import json
import lzma
import random

import gin
import numpy as np
import pytest

from primer.data import preflight, whole_documents
from primer.data.sources import formats, readers, text_files, text_parts
from primer.errors import UsageError

pyarrow = pytest.importorskip("pyarrow")
zstandard = pytest.importorskip("zstandard")

TEXTS = ["plain words", "caf\xe9 \u2603 \U0001f600", "line\nline", "  blanks kept \t", "x" * 3000]


def bind(**settings):
    for name, value in settings.items():
        gin.bind_parameter(f"text_files.{name}", value)


def compress(path, content):
    """Writes by the package that others write such files with."""
    how = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstandard.compress}
    path.write_bytes(how.get(path.suffix, bytes)(content))


def write_parquet(path, texts, field="text"):
    import pyarrow.parquet

    table = pyarrow.table({field: texts, "number": list(range(len(texts)))})
    pyarrow.parquet.write_table(table, path, row_group_size=2)


def read(split="train"):
    return [text for text, _ in whole_documents.documents("text", split)]


@pytest.mark.parametrize("end", formats.COMPRESSIONS)
def test_lines_of_json_in_every_compression(tmp_path, end):
    lines = "\n".join(json.dumps({"text": text}) for text in TEXTS)
    compress(tmp_path / f"a.jsonl{end}", lines.encode())
    bind(glob=str(tmp_path / "a*"), held_out=0.0)
    assert read() == TEXTS


@pytest.mark.parametrize("end", formats.COMPRESSIONS)
def test_whole_files_in_every_compression(tmp_path, end):
    for number, content in enumerate(TEXTS):
        compress(tmp_path / f"{number}.txt{end}", content.encode())
    bind(glob=str(tmp_path / "*.txt*"), held_out=0.0)
    assert read() == TEXTS


def test_a_column_of_parquet(tmp_path):
    write_parquet(tmp_path / "a.parquet", [*TEXTS, None, " "], "body")
    bind(glob=str(tmp_path / "a.parquet"), field="body", held_out=0.0)
    assert read() == TEXTS
    bind(field="text")
    with pytest.raises(UsageError, match=r"a.parquet cannot be read .*'text'.*body, number"):
        preflight.check("text", "train")
    bind(field="number")
    with pytest.raises(UsageError, match="int64 in the column 'number'"):
        preflight.check("text", "train")


def test_frames_of_zstandard_follow_each_other(tmp_path):
    parts = [zstandard.compress(f"line {number}\n".encode() * 99) for number in range(5)]
    (tmp_path / "a.txt.zst").write_bytes(b"".join(parts))
    bind(glob=str(tmp_path / "a.txt.zst"), unit="line", held_out=0.0)
    assert read() == [f"line {number}" for number in range(5) for _ in range(99)]


@pytest.fixture
def many(tmp_path):
    """Files that TensorFlow reads: odd line ends, marks, blank lines, other lengths."""
    noise = random.Random(3)
    for number in range(5):
        lines = [
            "".join(noise.choices("ab \xe9\u2603\t", k=noise.randrange(40)))
            + noise.choice(["", "\r"])
            for _ in range(60)
        ]
        compress(tmp_path / f"{number}.txt{['', '.gz'][number % 2]}", "\n".join(lines).encode())
        content = "\n".join(json.dumps({"text": line}) for line in lines)
        compress(tmp_path / f"{number}.jsonl{['', '.gz'][number % 2]}", content.encode())
    (tmp_path / "mark.txt").write_bytes("\ufeffmarked\r\nline\rend".encode())
    return tmp_path


@pytest.mark.parametrize("unit", ["file", "line"])
def test_python_reads_what_tensorflow_reads(many, unit, eager):
    """The same documents, in the same order."""
    settings = text_files.TextFiles(glob=str(many / "*"), unit=unit)
    whole, by_line = settings.whole_and_lines()
    assert settings.read_by_tensorflow(whole + by_line)

    def texts(dataset):
        return [element["text"] for element in dataset.as_numpy_iterator()]

    fast = texts(text_files.read_documents(whole, by_line, "text", False, None))
    slow = texts(text_files._read_in_python(whole, by_line, settings, False, None))
    assert fast == slow and len(fast) > 200


def test_reading_in_python_follows_the_seed_and_continues(tmp_path):
    import tensorflow.compat.v1 as tf

    for number in range(4):
        lines = "\n".join(f"{number} {line}" for line in range(700))
        compress(tmp_path / f"{number}.txt.xz", lines.encode())
    bind(glob=str(tmp_path / "*.xz"), unit="line", held_out=0.2)

    def pipeline(seed=3):
        iterator = tf.data.make_initializable_iterator(
            text_files.split_dataset("train", True, seed)
        )
        saver = tf.train.Saver([tf.data.experimental.make_saveable_from_iterator(iterator, "warn")])
        return iterator, iterator.get_next()["text"], saver

    with tf.Graph().as_default(), tf.Session() as session:
        iterator, following, saver = pipeline()
        session.run(iterator.initializer)
        first = [session.run(following) for _ in range(900)]
        saver.save(session, str(tmp_path / "position"))
        expected = [session.run(following) for _ in range(900)]
    text_files._open_readers.clear()
    with tf.Graph().as_default(), tf.Session() as session:
        iterator, following, saver = pipeline()
        session.run(iterator.initializer)
        saver.restore(session, str(tmp_path / "position"))
        assert [session.run(following) for _ in range(900)] == expected
    with tf.Graph().as_default(), tf.Session() as session:
        iterator, following, _ = pipeline(seed=4)
        session.run(iterator.initializer)
        assert [session.run(following) for _ in range(900)] != first


@pytest.mark.parametrize("end", [".gz", ".zst", ".xz"])
def test_a_compressed_file_cut_short_is_named(tmp_path, end):
    noise = np.random.default_rng(1).integers(97, 123, 400_000, np.uint8).tobytes()
    path = tmp_path / f"cut.txt{end}"
    compress(path, noise)
    path.write_bytes(path.read_bytes()[:-100])
    bind(glob=str(path), held_out=0.0)
    with pytest.raises(UsageError, match=f"cut.txt{end} cannot be read"):
        preflight.check("text", "train")


@pytest.mark.parametrize("suffix", ["txt", "jsonl"])
def test_a_line_of_a_hundred_megabytes_is_named(tmp_path, suffix):
    path = tmp_path / f"long.{suffix}"
    with open(path, "wb") as file:
        file.write(b'{"text": "fine"}\n')
        for _ in range(100):
            file.write(b"a" * 1_000_000)
    bind(glob=str(path), unit="line", held_out=0.0)
    with pytest.raises(UsageError) as error:
        preflight.check("text", "train")
    assert all(part in str(error.value) for part in [str(path), "line 2", "max_document_bytes"])
    assert "\n" not in str(error.value)


def test_documents_that_are_not_utf8_are_left_out_and_counted(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"fine\ncaf\xe9\nfine too\n\xff\xfe\n")
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "good"}\n{"text": "caf\xe9"}\n')
    write_parquet(tmp_path / "c.parquet", [b"row", b"\xff"])
    bind(glob=str(tmp_path / "*"), unit="line", held_out=0.0)
    with pytest.raises(UsageError, match=r"a.txt is not UTF-8 \(line 2: byte 0xe9\).*'skip'"):
        preflight.check("text", "train")
    bind(on_bad_utf8="skip")
    remark = preflight.check("text", "train")
    assert "4 documents that are not UTF-8" in remark and "a.txt (2)" in remark
    assert read() == ["fine", "fine too", "good", "row"]
    notes = readers.SkipCounts()
    assert len(list(text_parts.read_shard(0, 1, notes))) == 4
    assert notes.not_utf8 == {
        str(tmp_path / "a.txt"): 2,
        str(tmp_path / "b.jsonl"): 1,
        str(tmp_path / "c.parquet"): 1,
    }


def test_normalization_is_an_option(tmp_path):
    pytest.importorskip("ftfy")
    (tmp_path / "a.txt").write_text("\ufb01ne caf\u00c3\u00a9 \u201cquoted\u201d", encoding="utf-8")
    bind(glob=str(tmp_path / "a.txt"), held_out=0.0)
    assert read() == ["\ufb01ne caf\u00c3\u00a9 \u201cquoted\u201d"]
    bind(normalize="nfkc")
    assert read() == ['fine caf\xe9 "quoted"']
    bind(normalize="NFD")
    with pytest.raises(UsageError, match="text_files.normalize is 'NFD'; expected None or 'nfkc'"):
        preflight.check("text", "train")


@pytest.mark.parametrize("shards", [1, 2, 7, 40])
def test_the_parts_of_all_shards_are_the_documents(many, shards):
    """Each once, whatever the number of shards."""
    compress(many / "more.txt.zst", "\n".join(map(str, range(300))).encode())
    write_parquet(many / "more.parquet", [f"row {number}" for number in range(50)])
    bind(glob=str(many / "*"), unit="line", held_out=0.1)
    parts = [
        list(text_parts.read_shard(index, shards, readers.SkipCounts())) for index in range(shards)
    ]
    found = sorted(pair for part in parts for pair in part)
    expected = [(split, text.encode()) for split in text_files.SPLITS for text in read(split)]
    assert found == sorted(expected)


def test_plain_lines_are_divided_evenly(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"line {number}\n" for number in range(5000)))
    bind(glob=str(tmp_path / "a.txt"), unit="line")
    parts = [list(text_parts.read_shard(index, 8, readers.SkipCounts())) for index in range(8)]
    sizes = [sum(len(content) + 1 for _, content in part) for part in parts]
    assert sum(sizes) == text_parts.total_bytes() and max(sizes) - min(sizes) < 30


def test_an_empty_file_behind_the_last_is_read_by_the_last_shard(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.txt").write_text("")
    bind(glob=str(tmp_path / "*.txt"), held_out=0.0)
    notes = readers.SkipCounts()
    parts = [list(text_parts.read_shard(index, 3, notes)) for index in range(3)]
    assert parts == [[("train", b"text")], [], []] and notes.empty == 1
