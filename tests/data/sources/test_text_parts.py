"""Shards of a prepared data set: together they are the documents, whatever their number."""

import os

import pytest

from primer.data.sources import readers, text_files, text_parts
from tests.data.sources.text_task import bind, read, write, write_parquet

pytest.importorskip("pyarrow")
pytest.importorskip("zstandard")


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("shards", [1, 2, 7, 40])
def test_all_shards_together_are_the_documents(mixed_files, shards, seed):
    """Each once, whatever the number of shards."""
    write(mixed_files / "more.txt.zst", "\n".join(map(str, range(300))).encode())
    write_parquet(mixed_files / "more.parquet", [f"row {number}" for number in range(50)])
    bind(glob=str(mixed_files / "*"), unit="line", held_out=0.1)
    parts = [
        list(text_parts.read_shard(index, shards, readers.SkipCounts(), seed))
        for index in range(shards)
    ]
    found = sorted(pair for part in parts for pair in part)
    expected = [(split, text.encode()) for split in text_files.SPLITS for text in read(split)]
    assert found == sorted(expected)


@pytest.mark.parametrize("seed, difference", [(None, 30), (0, 9 * 64)])
def test_uncompressed_lines_are_divided_evenly(tmp_path, seed, difference):
    (tmp_path / "a.txt").write_text("".join(f"line {number}\n" for number in range(5000)))
    bind(glob=str(tmp_path / "a.txt"), unit="line")
    parts = [
        list(text_parts.read_shard(index, 8, readers.SkipCounts(), seed)) for index in range(8)
    ]
    sizes = [sum(len(content) + 1 for _, content in part) for part in parts]
    assert sum(sizes) == text_parts.total_bytes() and max(sizes) - min(sizes) < difference


def test_each_shard_has_a_block_of_each_stretch_of_the_files(tmp_path):
    for name, size in (("a", 30_000), ("b", 10_000), ("c", 8_000)):
        (tmp_path / f"{name}.txt").write_text("some words\n" * (size // 11))
    settings = text_files.TextFiles(glob=str(tmp_path / "*"), unit="line")
    sizes = text_parts.file_sizes(settings)
    for index in range(16):
        parts = text_parts.parts_of_shard(settings, sizes, index, 16, seed=0)
        assert parts != sorted(parts, key=lambda part: (part.path, part.start))
        for path, size in sizes.items():
            own = sum(part.end - part.start for part in parts if part.path == path)
            # Up to a block at each end of the file.
            assert abs(own - size / 16) <= 2 * sum(sizes.values()) / (16 * 64)


def test_a_long_input_has_blocks_of_limited_size(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    settings = text_files.TextFiles(glob=str(tmp_path / "*"), unit="line")
    parts = text_parts.parts_of_shard(settings, {str(tmp_path / "a.txt"): 1 << 26}, 0, 1, seed=0)
    assert {part.end - part.start for part in parts} == {1 << 17}


def test_an_empty_last_file_is_assigned_to_a_shard(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.txt").write_text("")
    bind(glob=str(tmp_path / "*.txt"), held_out=0.0)
    notes = readers.SkipCounts()
    parts = [list(text_parts.read_shard(index, 3, notes)) for index in range(3)]
    assert parts == [[("train", b"text")], [], []] and notes.empty == 1


def compressed_parts(folder, shards):
    settings = text_files.TextFiles(glob=str(folder / "*"), unit="line")
    sizes = text_parts.file_sizes(settings)
    return [text_parts.parts_of_shard(settings, sizes, i, shards, seed=0) for i in range(shards)]


def test_a_compressed_file_is_read_by_at_most_sixteen_shards(tmp_path):
    write(tmp_path / "a.txt.gz", "\n".join(map(str, range(500))))
    owners = sum(compressed_parts(tmp_path, 20), [])
    assert sorted(part.part for part in owners) == list(range(16))
    assert {part.parts for part in owners} == {16}


def test_each_shard_has_a_share_of_each_compressed_file(tmp_path):
    for name in "abcd":
        write(tmp_path / f"{name}.txt.gz", "\n".join(map(str, range(500))))
    for parts in compressed_parts(tmp_path, 8):
        assert len({part.path for part in parts}) == len(parts) == 4


def test_many_compressed_files_are_read_once_each(tmp_path):
    for number in range(200):
        write(tmp_path / f"{number:03}.txt.gz", f"line {number}")
    owners = sum(compressed_parts(tmp_path, 3), [])
    assert len(owners) == 200 and {part.parts for part in owners} == {1}


def test_the_fingerprint_follows_names_and_sizes():
    sizes = {"/data/a.txt": 3, "/data/b.txt": 5}
    first = text_parts.files_fingerprint(sizes)
    assert text_parts.files_fingerprint(dict(reversed(sizes.items()))) == first
    assert text_parts.files_fingerprint(sizes | {"/data/b.txt": 6}) != first
    assert text_parts.files_fingerprint({"/data/a.txt": 3}) != first


def test_the_manifest_holds_absolute_globs(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("text")
    monkeypatch.chdir(tmp_path)
    bind(glob="*.txt", held_out=0.2)
    described = text_parts.describe_input()
    assert described["text_files"]["glob"] == [f"{tmp_path}/*.txt"]
    assert described["text_files"]["held_out"] == 0.2
    assert (described["input"]["files"], described["input"]["bytes"]) == (1, 4)


def test_each_document_has_its_file(tmp_path, eager):
    """Over both splits, in the order in which training reads."""
    write(tmp_path / "a.jsonl", "".join(f'{{"text": "a {n}"}}\n' for n in range(40)))
    write(tmp_path / "b.txt", "b")
    write(tmp_path / "c.jsonl.gz", "".join(f'{{"text": "c {n}"}}\n\n' for n in range(40)))
    bind(glob=str(tmp_path / "*"), held_out=0.3)
    for split in ("train", "validation"):
        texts = [
            example["text"].decode()[:1]
            for example in text_files.split_dataset(split).as_numpy_iterator()
        ]
        files = text_parts.document_files(split)
        assert [os.path.basename(path)[0] for path in files] == texts and len(set(texts)) > 1
