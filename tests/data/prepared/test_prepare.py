"""Prepared data sets: equal to the texts, restarted, and complete or refused."""

import json
import shutil
import subprocess
import sys

import gin
import numpy as np
import pytest
import seqio
import tensorflow as tf

from primer.common import files
from primer.data import preflight, whole_documents
from primer.data.prepared import counts, plan, pool, prepare
from primer.data.sources import text_files
from primer.errors import RunError, UsageError
from tests.data import caches, parsing
from tests.data.prepared import helpers

pytestmark = pytest.mark.usefixtures("corpus_settings")


@pytest.mark.parametrize("split", text_files.SPLITS)
def test_counts_are_those_of_the_texts(prepared, split):
    expected = counts.Counts()
    for content, ids in whole_documents.documents(helpers.TASK, split):
        expected.add([content.encode()], ids, [0, len(ids)])
    found = prepared[1]["splits"][split]
    assert found == expected.as_dict()
    read = counts.Counts()
    for ids in parsing.ids(prepared[0] / helpers.TASK, f"{split}.tfrecord-*", "targets"):
        read.add([b""], ids, [0, len(ids)])
    names = ("examples", "tokens", "checksum")
    assert {name: read.as_dict()[name] for name in names} == {name: found[name] for name in names}
    assert found["examples"] > 0


def test_seqio_reads_its_cache(cache):
    """Through seqio's own classes."""
    source = seqio.dataset_providers._CachedDataSource(str(cache), "train")
    number = source.num_input_examples("train")
    assert helpers.DOCUMENTS // 2 < number < helpers.DOCUMENTS
    assert len(source.list_shards("train")) == 3
    documents = list(source.get_dataset("train", shuffle=False).as_numpy_iterator())
    expected = {tuple(ids) for _, ids in whole_documents.documents(helpers.TASK, "train")}
    assert {tuple(example["targets"]) for example in documents} == expected
    assert len(documents) == number
    assert documents[0]["targets"].dtype == np.int32
    task = seqio.TaskRegistry.get(helpers.TASK)
    assert task.get_cached_stats("train")["targets_tokens"] == sum(map(len, expected))


def test_training_reads_the_same_tokens_from_the_cache(cache, lm_objective, chunks):
    def joined(**options):
        """Sorted, because the cache may change the order of documents."""
        parts = chunks(helpers.TASK, "validation", length=64, number=-1, shuffle=False, **options)
        return sorted(token for part in parts for token in part[:-1])

    gin.bind_parameter("reduce_concat_tokens.batch_size", 16)
    assert joined(use_cached=True) == joined()
    first = chunks(helpers.TASK, number=50, seed=5, use_cached=True)
    assert first == chunks(helpers.TASK, number=50, seed=5, use_cached=True)
    assert first != chunks(helpers.TASK, number=50, seed=6, use_cached=True)
    preflight.check_split(helpers.TASK, "train", use_cached=True)


def test_prepared_data_are_not_cached_in_memory(cache):
    """An in-memory cache would be part of every checkpoint of the pipeline's position."""
    task = seqio.TaskRegistry.get(helpers.TASK)
    gin.bind_parameter("unsupervised.preprocessors", [lambda dataset, **_: dataset])

    def operations(read):
        with tf.Graph().as_default() as graph:
            read(task, {"targets": 64}, "train", use_cached=True)
            return {operation.type for operation in graph.get_operations()}

    assert any("CacheDataset" in kind for kind in operations(seqio.Task.get_dataset))
    assert not any("CacheDataset" in kind for kind in operations(type(task).get_dataset))


def test_a_restart_keeps_finished_shards(prepared, tmp_path):
    class Stopped(Exception):
        pass

    def stop_after_two(begun):
        pool.write_shards(
            begun.plan, begun.remaining[:2], 1, None, lambda size: None, lambda index: None
        )
        raise Stopped

    made = plan.make_plan(helpers.TASK, str(tmp_path), shards=3)
    with pytest.raises(Stopped):
        prepare.prepare(made, stop_after_two)
    folder = tmp_path / helpers.TASK
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.tfrecord*")}
    assert len(before) == 4 and not (folder / "COMPLETED").exists()
    with (
        caches.named(helpers.TASK, tmp_path),
        pytest.raises(UsageError, match="is not complete; run the same"),
    ):
        preflight.check_split(helpers.TASK, "train", use_cached=True)
    done = []
    prepare.prepare(made, lambda begun: (done.extend(begun.remaining), helpers.write(begun)))
    assert done == [2]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert helpers.files(folder) == helpers.files(prepared[0] / helpers.TASK)
    assert prepare.prepare(made, helpers.write)[1] is False
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_a_killed_run_leaves_no_incomplete_file_under_a_final_name(tmp_path):
    (tmp_path / "a.txt").write_text("one line of text\n" * 40_000)
    words = ["--input", str(tmp_path / "a.txt"), "--unit", "line", "--vocabulary", "bytes"]
    words += ["--output", str(tmp_path / "out"), "--shards", "4", "--workers", "1"]
    program = (
        "import os, signal, sys; from primer.data.prepared import writers;"
        "stock = writers.SeqioWriter.add; calls = []\n"
        "def add(*arguments):\n"
        "    stock(*arguments); calls.append(1)\n"
        "    if len(calls) == 30: os.kill(os.getpid(), signal.SIGKILL)\n"
        "writers.SeqioWriter.add = add\n"
        "from tests.data.parsing import run; run('prepare', sys.argv[1:])"
    )
    hooked = "import primer.runtime.import_hook as h; h.install();"
    done = subprocess.run([sys.executable, "-c", hooked + program, *words])
    assert done.returncode == -9
    folder = tmp_path / "out" / "text"
    assert list(folder.glob(".*unfinished"))
    whole = helpers.files(folder, "train.tfrecord-*")
    assert 0 < len(whole) < 4
    with (
        caches.named(helpers.TASK, tmp_path / "out"),
        pytest.raises(UsageError, match="is not complete"),
    ):
        preflight.check_split("text", "train", use_cached=True)
    assert parsing.run("prepare", words) == 0
    assert whole.items() <= helpers.files(folder, "train.tfrecord-*").items()
    found = json.loads((folder / "primer.json").read_text())["splits"]
    assert sum(found[split]["examples"] for split in found) == 40_000
    assert not list(folder.glob(".*"))


def test_other_settings_are_refused(prepared):
    with pytest.raises(UsageError, match=r"other settings \(shards: 3, now 4\)"):
        helpers.make(prepared[0], shards=4)
    gin.bind_parameter("task_vocabulary.name", "bytes")
    with pytest.raises(UsageError, match="vocabulary: 'sentencepiece .* now 'bytes, 259 ids'"):
        helpers.make(prepared[0])


def test_another_order_is_refused(prepared):
    with pytest.raises(UsageError, match=r"order: {'seed': 0, 'version': 1}, now {'seed': 1"):
        helpers.make(prepared[0], seed=1)


@pytest.mark.parametrize("name", ["primer.json", ".preparing.json"])
def test_data_of_an_earlier_version_are_not_continued(prepared, tmp_path, name):
    """Its shards have other documents."""
    folder = tmp_path / helpers.TASK
    folder.mkdir()
    contents = json.loads((prepared[0] / helpers.TASK / "primer.json").read_text())
    del contents["settings"]["order"]
    (folder / name).write_text(json.dumps(contents))
    with pytest.raises(UsageError, match="an earlier version of Primer.*training still reads it"):
        helpers.make(tmp_path)


# Letter -> documents; their texts have equal lengths.
SOURCES = {"a": 1620, "b": 600, "c": 450, "d": 330}
FOUR_ERRORS = 4.0


def within_four_errors(letters):
    total = sum(SOURCES.values())
    for letter, number in SOURCES.items():
        share = number / total
        error = (share * (1 - share) / len(letters)) ** 0.5
        assert abs(letters.count(letter) / len(letters) - share) <= FOUR_ERRORS * error


@pytest.mark.parametrize(
    "format, feature, names",
    [("seqio", "targets", "train.tfrecord-{:05d}-*"), ("gpt_neo", "text", "train_{:05d}_*")],
)
def test_shards_and_their_stretches_are_samples_of_all_sources(tmp_path, format, feature, names):
    for letter, number in SOURCES.items():
        lines = (f"{letter} {place:04}\n" for place in range(number))
        (tmp_path / f"{letter}.txt").write_text("".join(lines))
    gin.parse_config(f"""
        text_files.glob = "{tmp_path}/*.txt"
        text_files.unit = "line"
        text_files.held_out = 0.0
        task_vocabulary.name = "bytes"
    """)
    orders = {0: [], 1: []}
    for seed, order in orders.items():
        output = tmp_path / f"out{seed}"
        helpers.make(output, shards=16, format=format, seed=seed)
        for number in range(16):
            records = parsing.ids(output / "text", names.format(number), feature)
            texts = [bytes((ids[:6] - 3).tolist()).decode() for ids in records]
            letters = [text[0] for text in texts]
            within_four_errors(letters)
            for first in range(len(letters) - 49):
                within_four_errors(letters[first : first + 50])
            order += texts
        assert len(set(order)) == len(order) == 3000
    assert orders[0] != orders[1]


def test_changed_input_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    gin.bind_parameter("text_files.glob", str(tmp_path / "*.txt"))
    helpers.make(tmp_path / "out", "text")
    (tmp_path / "b.txt").write_text("three\n")
    with pytest.raises(UsageError, match="input: {'bytes': 8"):
        helpers.make(tmp_path / "out", "text")


def test_a_damaged_byte_is_found_by_its_checksum(prepared, tmp_path):
    shutil.copytree(prepared[0], tmp_path / "copy")
    path = tmp_path / "copy" / helpers.TASK / "train.tfrecord-00001-of-00003"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with caches.named(helpers.TASK, tmp_path / "copy"), pytest.raises(tf.errors.DataLossError):
        dataset = (
            seqio.TaskRegistry.get(helpers.TASK)._get_cached_source("train").get_dataset("train")
        )
        list(dataset.as_numpy_iterator())


def test_the_marker_of_a_complete_data_set_is_written_last(tmp_path, monkeypatch):
    """A run that fails before COMPLETED is written is completed by the next run."""
    stock = files.write_whole

    def fail(path, content):
        if path.endswith("COMPLETED"):
            raise OSError(28, "No space left on device")
        stock(path, content)

    (tmp_path / "a.txt").write_text("one\ntwo\n")
    gin.bind_parameter("text_files.glob", str(tmp_path / "*.txt"))
    monkeypatch.setattr(files, "write_whole", fail)
    with pytest.raises(RunError, match="no space left"):
        helpers.make(tmp_path / "out", "text")
    monkeypatch.undo()
    assert helpers.make(tmp_path / "out", "text")["splits"]["train"]["examples"] == 1
    assert (tmp_path / "out/text/COMPLETED").exists()
