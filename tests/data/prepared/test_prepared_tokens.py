"""Tokens at any position of a prepared split, against the records; damaged and older data."""

import json
import shutil
from concurrent import futures

import gin
import numpy as np
import pytest
import tensorflow as tf

from primer.data.prepared import prepared_tokens, records
from primer.data.prepared.prepared_tokens import PreparedTokens
from primer.errors import RunError, UsageError
from tests.data import parsing
from tests.data.prepared import helpers

END = 1


def joined(folder, split="train"):
    """Returns the ids of all records, each followed by the end token, and where each begins."""
    found = [[*ids, END] for ids in parsing.ids(folder, f"{split}.tfrecord-*", "targets")]
    return np.concatenate(found), np.cumsum([0, *map(len, found)])


def make_lines(tmp_path, lines, shards):
    (tmp_path / "a.txt").write_text("".join(f"{line}\n" for line in lines))
    gin.parse_config(f"""
        text_files.glob = "{tmp_path}/a.txt"
        text_files.unit = "line"
        text_files.held_out = 0.0
        task_vocabulary.name = "bytes"
    """)
    helpers.make(tmp_path / "out", shards=shards)
    return tmp_path / "out" / helpers.TASK


@pytest.mark.parametrize("long_record", [1 << 16, 50, 0])
def test_all_stretches_of_short_documents(tmp_path, monkeypatch, long_record):
    """More shards than documents, so that some have none; of any, or of no long document."""
    monkeypatch.setattr(prepared_tokens, "_LONG_RECORD", long_record)
    monkeypatch.setattr(records, "_BLOCK_BYTES", 8)
    folder = make_lines(tmp_path, ["abc", "d" * 40, "é" * 5, "f", "ghijklmnopq"], 7)
    expected, starts = joined(folder)
    tokens = PreparedTokens.open(str(folder), "train", END)
    assert tokens.starts.dtype == np.int64 and tokens.starts.tolist() == starts.tolist()
    for begin in range(len(expected) + 1):
        for end in range(begin, len(expected) + 1):
            found = tokens.read(begin, end)
            assert found.dtype == np.int32 and found.tolist() == expected[begin:end].tolist()
    for begin, end in ((-1, 3), (3, 2), (0, len(expected) + 1)):
        with pytest.raises(ValueError, match="is not within"):
            tokens.read(begin, end)


@pytest.mark.parametrize("kept", [1 << 28, 5000])
def test_stretches_across_long_documents(prepared, monkeypatch, kept):
    """Of ids of one and two bytes; with long documents kept, or read again."""
    monkeypatch.setattr(prepared_tokens, "_LONG_RECORD", 1500)
    monkeypatch.setattr(prepared_tokens, "_KEPT_BYTES", kept)
    monkeypatch.setattr(records, "_BLOCK_BYTES", 256)
    folder = prepared[0] / helpers.TASK
    expected, starts = joined(folder)
    tokens = PreparedTokens.open(str(folder), "train", END)
    random = np.random.RandomState(0)
    pairs = [(begin, begin + 600) for begin in random.randint(0, len(expected) - 600, 100)]
    pairs += [(start - 1, start + 1) for start in starts[1:-1]] + [(0, len(expected))]
    with futures.ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda pair: tokens.read(*pair), pairs))
    for (begin, end), ids in zip(pairs, found, strict=True):
        assert ids.tolist() == expected[begin:end].tolist()
    validation = PreparedTokens.open(str(folder), "validation", END)
    assert validation.starts.tolist() == joined(folder, "validation")[1].tolist()


def test_a_remote_folder(prepared):
    """In a file system of TensorFlow's."""
    folder, remote = prepared[0] / helpers.TASK, "ram://prepared_tokens"
    tf.io.gfile.makedirs(remote)
    for path in folder.glob("[!.]*"):
        tf.io.gfile.copy(str(path), f"{remote}/{path.name}", overwrite=True)
    expected = joined(folder)[0]
    tokens = PreparedTokens.open(remote, "train", END)
    assert tokens.read(0, len(expected)).tolist() == expected.tolist()
    assert tokens.read(5000, 5600).tolist() == expected[5000:5600].tolist()


@pytest.fixture
def copy(prepared, tmp_path):
    """A copy of the prepared corpus, to be damaged."""
    return shutil.copytree(prepared[0] / helpers.TASK, tmp_path / "copy")


def test_older_caches_have_no_index(copy, tmp_path):
    contents = json.loads((copy / "primer.json").read_text())
    del contents["shards"][1]["splits"]["train"]["index"]
    (copy / "primer.json").write_text(json.dumps(contents))
    assert PreparedTokens.open(str(copy), "train", END) is None
    assert PreparedTokens.open(str(copy), "validation", END) is not None
    assert PreparedTokens.open(str(copy), "test", END) is None
    assert PreparedTokens.open(str(tmp_path), "train", END) is None  # Of another tool.


def test_records_of_gpt_neo_have_no_index(tmp_path, corpus_settings):
    helpers.make(tmp_path, format="gpt_neo")
    folder = tmp_path / helpers.TASK
    assert PreparedTokens.open(str(folder), "train", END) is None and not list(folder.glob("*.npy"))


@pytest.mark.parametrize("kind", ["corrupted", "truncated"])
def test_a_damaged_record_is_named(copy, kind):
    path = copy / "train.tfrecord-00001-of-00003"
    content = bytearray(path.read_bytes())
    if kind == "corrupted":
        content[20] ^= 1
    else:
        del content[-20:]
    path.write_bytes(content)
    tokens = PreparedTokens.open(str(copy), "train", END)
    contents = json.loads((copy / "primer.json").read_text())
    before = contents["shards"][0]["splits"]["train"]["examples"]
    tokens.read(0, int(tokens.starts[before]))
    own = contents["shards"][1]["splits"]["train"]["examples"]
    begin, end = tokens.starts[[before, before + own]]
    with pytest.raises(RunError, match=rf"{path} is damaged \({kind} record at \d+\): .*again"):
        tokens.read(int(begin), int(end))


def test_a_damaged_index_is_refused_and_prepared_again(copy, prepared, corpus_settings):
    path = copy / "train.index-00001-of-00003.npy"
    content = bytearray(path.read_bytes())
    content[-12] ^= 1  # The bytes of the last record.
    path.write_bytes(content)
    with pytest.raises(UsageError, match=f"{path} cannot be read .*its sums.*remove this file"):
        PreparedTokens.open(str(copy), "train", END)
    path.unlink()
    with pytest.raises(UsageError, match=f"{path} cannot be read"):
        PreparedTokens.open(str(copy), "train", END)
    copy.rename(copy.parent / helpers.TASK)
    helpers.make(copy.parent)
    whole = helpers.files(prepared[0] / helpers.TASK, "*.npy")
    assert len(whole) == 6 and helpers.files(copy.parent / helpers.TASK, "*.npy") == whole
