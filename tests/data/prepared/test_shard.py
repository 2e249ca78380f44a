"""Texts of a shard: those of other packages' sources, and exact bytes."""

import json

import gin
import pytest
import seqio

from primer.data import whole_documents
from primer.data.prepared import counts, shard
from primer.data.sources import formats, readers
from tests.data import fabricate, parsing
from tests.data.prepared import helpers


def test_prepared_tensorflow_data_sets(tfds_dir, tmp_path):
    gin.bind_parameter("task_vocabulary.name", "bytes")
    task = "lm1b_autoregressive_language_modeling"
    found = helpers.make(tmp_path, task, shards=5)
    for split in ("train", "validation", "test"):
        expected = counts.Counts()
        for content, ids in whole_documents.documents(task, split):
            expected.add([content.encode()], ids, [0, len(ids)])
        assert found["splits"][split] == expected.as_dict()


# Two bytes each but for the first: 90% and 95% of 2,001 bytes are in the middle of a character.
CONTENT = b" " + "\u00e9".encode() * 1000


def test_the_records_are_the_bytes_of_the_file(tmp_path):
    (tmp_path / "enwik8").write_bytes(CONTENT)
    words = ["--task", "enwik8", "--output", tmp_path / "out", "--workers", 1, "--shards", 2]
    words += [f"--gin_param=local_data.folder = '{tmp_path}'", "--gin_param=local_data.check=False"]
    words += ["--gin_param=local_data.block_bytes = 1024"]
    assert parsing.run("prepare", words) == 0
    found = json.loads((tmp_path / "out" / "enwik8" / "primer.json").read_text())
    borders = [0, 1800, 1900, 2001]
    for split, start, end in zip(("train", "validation", "test"), borders, borders[1:]):
        part = CONTENT[start:end]
        records = parsing.ids(tmp_path / "out" / "enwik8", f"{split}.tfrecord-*", "targets")
        read = sorted(bytes((ids - 3).tolist()) for ids in records)
        assert sum(map(len, read)) == len(part)
        assert len(read) == (2 if split == "train" else 1)
        if split != "train":
            assert read == [part]
        counts = found["splits"][split]
        assert counts["bytes"] == counts["tokens"] == len(part)
        texts = [part.decode("utf-8", "surrogateescape") for part in read]
        assert counts["characters"] == sum(map(len, texts))
        assert counts["words"] == sum(len(text.split()) for text in texts)
    assert found["bindings"] == {
        "local_data.block_bytes": 1024,
        "local_data.check": False,
        "local_data.folder": str(tmp_path),
        "task_vocabulary.name": "bytes",
    }


def test_batches_keep_the_order_of_each_split(monkeypatch):
    monkeypatch.setattr(formats, "BATCH_BYTES", 10)
    texts = [
        ("train", b"12345"),
        ("test", b"a"),
        ("train", b"678901"),
        ("train", b"2"),
        ("test", b"b"),
    ]
    # The first batch of `train` is full with its eleventh byte.
    assert list(shard.batch_texts(texts)) == [
        ("train", [b"12345", b"678901"]),
        ("test", [b"a", b"b"]),
        ("train", [b"2"]),
    ]


def test_texts_are_mixed_in_an_order_of_each_shard():
    texts = [("train", bytes([number])) for number in range(100)]
    windows = []
    first = list(shard.mix_texts(texts, 0, 2, windows.append))
    assert sorted(first) == texts != first and windows == [100]
    assert first == list(shard.mix_texts(texts, 0, 2, windows.append))
    assert first != list(shard.mix_texts(texts, 0, 3, windows.append))
    assert first != list(shard.mix_texts(texts, 1, 2, windows.append))


def test_more_texts_than_fit_into_memory_are_mixed_in_windows(monkeypatch):
    monkeypatch.setattr(shard, "WINDOW_BYTES", 30 * 110)
    texts = [("train", b"%10d" % number) for number in range(100)]
    windows = []
    mixed = list(shard.mix_texts(texts, 0, 0, windows.append))
    assert windows == [31, 31, 31, 7]
    assert sorted(mixed[:31]) == texts[:31] != mixed[:31] and sorted(mixed) == texts


def test_batches_have_a_limited_number_of_texts():
    found = [len(texts) for _, texts in shard.batch_texts([("train", b"")] * 1100)]
    assert found == [512, 512, 76]


@pytest.mark.parametrize("shards", [1, 3])
def test_the_shards_together_have_each_text_once(tfds_dir, shards):
    """Of a source whose number of files is no multiple of the shards."""
    gin.bind_parameter("task_vocabulary.name", "bytes")
    task = seqio.TaskRegistry.get("c4_v220_autoregressive_language_modeling")
    notes = readers.SkipCounts()
    read = [text for n in range(shards) for text in shard.read_texts(task, n, shards, notes)]
    for split in ("train", "validation"):
        expected = [text.encode() for text in fabricate.texts(fabricate.C4, split)]
        assert sorted(text for name, text in read if name == split) == sorted(expected)
