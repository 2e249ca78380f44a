"""Documents, tokens, words and checksums do not depend on how a data set is read or prepared."""

import json
import pathlib
import subprocess
import sys

import gin
import numpy as np
import pytest
import seqio

from primer.data import whole_documents
from primer.data.prepared import counts
from primer.data.sources import sotu
from primer.errors import UsageError
from tests.data import caches, parsing

LM1B = "lm1b_autoregressive_language_modeling"
SHARDS = 4
# `primer data prepare` that is killed while it writes its shards.
KILLED = """
import os, signal, sys
import primer.runtime.import_hook as hook; hook.install()
from primer.data.prepared import shard
stock = shard.batch_texts
begun = []
def batches(texts):
    begun.append(1)
    for batch in stock(texts):
        yield batch
        if len(begun) == 3: os.kill(os.getpid(), signal.SIGKILL)
shard.batch_texts = batches
from tests.data.parsing import run
run("prepare", sys.argv[1:])
"""


@pytest.fixture
def folder_of_text(tmp_path):
    """The task and the options of a folder of files, some of them not ASCII."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for number, path in enumerate(sotu.paths("train")[:30]):
        text = pathlib.Path(path).read_text(encoding="utf-8")[: 1000 + 100 * number]
        (folder / f"{number:02}.txt").write_text(text + "\u2003caf\u00e9\n" * number)
    gin.bind_parameter("text_files.glob", [str(folder / "*.txt")])
    gin.bind_parameter("text_files.held_out", 0.2)
    return "text", ["--input", folder / "*.txt", "--held_out", 0.2]


@pytest.fixture
def tensorflow_data_set(tfds_dir):
    """The task and the options of a prepared lm1b."""
    gin.bind_parameter("task_vocabulary.name", "bytes")
    words = ["--task", LM1B, "--t5_tfds_data_dir", tfds_dir, "--vocabulary", "bytes"]
    return LM1B, words


def prepare(words, output, workers=1):
    """Prepares a data set; returns the sums of each split."""
    command = [*words, "--output", output, "--shards", SHARDS, "--workers", workers]
    assert parsing.run("prepare", command) == 0
    (path,) = output.glob("*/primer.json")
    return json.loads(path.read_text())["splits"]


def prepare_killed_once(words, output):
    """Does the same with a run that is killed, and another that continues."""
    command = [*words, "--output", output, "--shards", SHARDS, "--workers", 1]
    done = subprocess.run([sys.executable, "-c", KILLED, *map(str, command)])
    assert done.returncode == -9
    finished = {path: path.stat().st_mtime_ns for path in output.glob("*/.shard-*.json")}
    assert len(finished) == 2 and list(output.glob("*/.*unfinished"))
    kept = {p: p.stat().st_mtime_ns for p in output.glob("*/train.tfrecord-0000[01]-*")}
    sums = prepare(words, output)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    return sums


def read_raw(task):
    """Returns the sums over the documents that an evaluation reads."""
    sums = {}
    for split in seqio.TaskRegistry.get(task).splits:
        sums[split] = counts.Counts()
        for text, ids in whole_documents.documents(task, split):
            sums[split].add([text.encode()], ids, [0, len(ids)])
    return {split: found.as_dict() for split, found in sums.items()}


def read_cached(task, split, output):
    """Returns the sums over the prepared data that training reads, before any objective."""
    found = counts.Counts()
    with caches.named(task, output):
        source = seqio.TaskRegistry.get(task)._get_cached_source(split)
        for example in source.get_dataset(split, shuffle=False).as_numpy_iterator():
            found.add([b""], example["targets"], [0, len(example["targets"])])
    return found.as_dict()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["folder_of_text", "tensorflow_data_set"])
def test_all_ways_of_preparation_give_the_same_sums(source, request, tmp_path):
    task, words = request.getfixturevalue(source)
    raw = read_raw(task)
    assert all(raw[split]["examples"] and raw[split]["words"] for split in raw)
    assert prepare(words, tmp_path / "one") == raw
    assert prepare(words, tmp_path / "two", workers=2) == raw
    assert prepare_killed_once(words, tmp_path / "killed") == raw
    of_ids = ("examples", "tokens", "text_tokens", "max_tokens", "checksum")
    for output in ("one", "two", "killed"):
        for split, expected in raw.items():
            found = read_cached(task, split, tmp_path / output)
            assert {name: found[name] for name in of_ids} == {n: expected[n] for n in of_ids}
    names = {path.relative_to(tmp_path / "one") for path in (tmp_path / "one").glob("*/*-of-*")}
    assert len(names) == 2 * SHARDS * len(raw)  # A file and its index.
    for name in names:
        contents = {(tmp_path / way / name).read_bytes() for way in ("one", "two", "killed")}
        assert len(contents) == 1, name


def test_the_checksum_depends_on_each_documents_tokens():
    """A token that moves from a document to the next changes only the checksum."""

    def sums(*documents):
        found = counts.Counts()
        for ids in documents:
            found.add([b""], np.array(ids, np.int32), [0, len(ids)])
        return found.as_dict()

    assert sums([5, 6], [7, 8]) == sums([7, 8], [5, 6])
    first, other = sums([5, 6], [7, 8]), sums([5, 7], [6, 8])
    assert first.pop("checksum") != other.pop("checksum")
    assert first == other


def test_a_truncated_cache_is_not_read(folder_of_text, tmp_path):
    task, words = folder_of_text
    prepare(words, tmp_path / "one")
    path = tmp_path / "one" / "text" / f"train.tfrecord-00002-of-{SHARDS:05}"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError, match=f"{path} has .* bytes; expected"):
        read_cached(task, "train", tmp_path / "one")


def test_sums_of_parts_are_those_of_the_whole():
    texts = ["a b", "caf\xe9 \u2603", "", "one two three"]
    ids = [[5, 6], [1, 7], [], [8, 9, 0, 1]]
    whole, parts = counts.Counts(), counts.Counts()
    joined = np.concatenate([np.array(part, np.int32) for part in ids])
    ends = np.cumsum([0, *map(len, ids)])
    whole.add([text.encode() for text in texts], joined, ends, special=(0, 1))
    for text, part in zip(texts, ids, strict=True):
        found = counts.Counts()
        found.add([text.encode()], np.array(part, np.int32), [0, len(part)], special=(0, 1))
        parts = found + parts
    assert parts == whole == counts.Counts.from_dict({**whole.as_dict(), "file": "other"})
    assert (whole.examples, whole.tokens, whole.text_tokens, whole.max_tokens) == (4, 8, 5, 2)
    assert whole.characters == sum(map(len, texts))
    assert whole.bytes == sum(len(text.encode()) for text in texts)
    assert whole.words == sum(len(text.split()) for text in texts)


@pytest.mark.parametrize("text", ["", "plain", "caf\xe9 \u2603"])
def test_characters_are_code_points(text):
    assert counts.count_characters(text.encode()) == len(text)
    assert counts.count_characters(text.encode() + b"\xff\xe2") == len(text) + 2
