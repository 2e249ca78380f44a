"""Prepared data: equal to what the texts give, whoever writes them; damage and mixing refused."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import gin
import numpy as np
import pytest
import seqio
import tensorflow as tf

from primer.commands.data import prepare_worker
from primer.data import preflight, whole_documents
from primer.data.prepared import counts, manifest, plan, pool, prepare, records, word_count, writers
from primer.data.sources import sotu, text_files
from primer.data.vocabularies import task_vocabulary
from primer.errors import RunError, UsageError
from tests.data import caches, parsing

TASK = "text"
DOCUMENTS = 60


def write(begun, workers=1):
    start = prepare_worker.start_worker
    pool.write_shards(
        begun.plan, begun.remaining, workers, start, lambda size: None, lambda index: None
    )


def make(output, task=TASK, **options):
    """Prepares in this process; gives the manifest."""
    made = plan.make_plan(task, str(output), **{"shards": 3, **options})
    return prepare.prepare(made, write)[0]


def files(folder, pattern="*.tfrecord*"):
    return {path.name: path.read_bytes() for path in sorted(pathlib.Path(folder).glob(pattern))}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Beginnings of addresses of presidents, a file each."""
    folder = tmp_path_factory.mktemp("corpus")
    for number, path in enumerate(sotu.paths("train")[:DOCUMENTS]):
        text = pathlib.Path(path).read_text()[: 2000 + 50 * number]
        (folder / f"{number:03}.txt").write_text(text)
    return folder


@pytest.fixture(autouse=True)
def settings(corpus):
    """Which files, with a tenth held out; the vocabulary is the one that comes with the project."""
    bind(corpus)


def bind(corpus):
    gin.bind_parameter("text_files.glob", str(corpus / "*.txt"))
    gin.bind_parameter("text_files.held_out", 0.1)


@pytest.fixture(scope="module")
def prepared(corpus, tmp_path_factory):
    """The corpus, prepared."""
    output = tmp_path_factory.mktemp("prepared")
    bind(corpus)
    return output, make(output)


@pytest.fixture
def cache(prepared):
    """The same as a run finds it (--additional_task_cache_dirs)."""
    with caches.named(TASK, prepared[0]):
        yield prepared[0] / TASK


def test_records_are_those_of_protobuf():
    ids = np.array([0, 1, 127, 128, 16383, 16384, 2**21, 2**31 - 1, 5], np.int64)
    ends = [0, 3, 3, 9]
    made = records.examples("targets", ids, np.array(ends))
    for record, start, end in zip(made, ends[:-1], ends[1:], strict=True):
        example = tf.train.Example.FromString(record)
        assert list(example.features.feature) == ["targets"]
        found = list(example.features.feature["targets"].int64_list.value)
        assert found == ids[start:end].tolist()
    assert records.examples("targets", ids[:0], np.array([0])) == []


@pytest.mark.parametrize(
    "words", ["", " ", "a", " a b\n\nc ", "\x1ca\x1fb\x0bc", "caf\xe9\u2003x\xa0y\u200bz"]
)
def test_words_are_those_of_python(words):
    for content in (words, words * 500):
        assert word_count.count_words(content.encode()) == len(content.split())


@pytest.mark.parametrize("split", text_files.SPLITS)
def test_counts_are_those_of_the_texts(prepared, split):
    expected = counts.Counts()
    for content, ids in whole_documents.documents(TASK, split):
        expected.add([content.encode()], ids, [0, len(ids)])
    found = prepared[1]["splits"][split]
    assert found == expected.as_dict()
    read = counts.Counts()
    for ids in parsing.ids(prepared[0] / TASK, f"{split}.tfrecord-*", "targets"):
        read.add([b""], ids, [0, len(ids)])
    names = ("examples", "tokens", "checksum")
    assert {name: read.as_dict()[name] for name in names} == {name: found[name] for name in names}
    assert found["examples"] > 0


def test_seqio_reads_its_cache(cache):
    """Through seqio's own classes, ours aside."""
    source = seqio.dataset_providers._CachedDataSource(str(cache), "train")
    number = source.num_input_examples("train")
    assert DOCUMENTS // 2 < number < DOCUMENTS
    assert len(source.list_shards("train")) == 3
    documents = list(source.get_dataset("train", shuffle=False).as_numpy_iterator())
    expected = {tuple(ids) for _, ids in whole_documents.documents(TASK, "train")}
    assert {tuple(example["targets"]) for example in documents} == expected
    assert len(documents) == number
    assert documents[0]["targets"].dtype == np.int32
    task = seqio.TaskRegistry.get(TASK)
    assert task.get_cached_stats("train")["targets_tokens"] == sum(map(len, expected))


def test_training_reads_the_same_tokens_from_the_cache(cache, lm_objective, chunks):
    def joined(**options):
        """In the order of documents, which the cache may change: as a set of chunks' tokens."""
        parts = chunks(TASK, "validation", length=64, number=-1, shuffle=False, **options)
        return sorted(token for part in parts for token in part[:-1])

    gin.bind_parameter("reduce_concat_tokens.batch_size", 16)
    assert joined(use_cached=True) == joined()
    first = chunks(TASK, number=50, seed=5, use_cached=True)
    assert first == chunks(TASK, number=50, seed=5, use_cached=True)
    assert first != chunks(TASK, number=50, seed=6, use_cached=True)
    preflight.check_split(TASK, "train", use_cached=True)


def test_no_cache_is_kept_in_memory(cache):
    """It would be part of every checkpoint of the pipeline's position."""
    task = seqio.TaskRegistry.get(TASK)
    gin.bind_parameter("unsupervised.preprocessors", [lambda dataset, **_: dataset])

    def operations(read):
        with tf.Graph().as_default() as graph:
            read(task, {"targets": 64}, "train", use_cached=True)
            return {operation.type for operation in graph.get_operations()}

    assert any("CacheDataset" in kind for kind in operations(seqio.Task.get_dataset))
    assert not any("CacheDataset" in kind for kind in operations(type(task).get_dataset))


def test_workers_write_the_same_bytes(prepared, tmp_path):
    made = plan.make_plan(TASK, str(tmp_path), shards=3)
    prepare.prepare(made, lambda begun: write(begun, workers=2))
    names = ("*.tfrecord*", "*.json")
    for pattern in names:
        assert files(tmp_path / TASK, pattern) == files(prepared[0] / TASK, pattern)


def test_a_restart_keeps_what_is_finished(prepared, tmp_path):
    class Stopped(Exception):
        pass

    def stop_after_two(begun):
        pool.write_shards(
            begun.plan, begun.remaining[:2], 1, None, lambda size: None, lambda index: None
        )
        raise Stopped

    made = plan.make_plan(TASK, str(tmp_path), shards=3)
    with pytest.raises(Stopped):
        prepare.prepare(made, stop_after_two)
    folder = tmp_path / TASK
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.tfrecord*")}
    assert len(before) == 4 and not (folder / "COMPLETED").exists()
    with (
        caches.named(TASK, tmp_path),
        pytest.raises(UsageError, match="is not complete; finish it"),
    ):
        preflight.check_split(TASK, "train", use_cached=True)
    done = []
    prepare.prepare(made, lambda begun: (done.extend(begun.remaining), write(begun)))
    assert done == [2]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert files(folder) == files(prepared[0] / TASK)
    assert prepare.prepare(made, write)[1] is False
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_that_looks_whole(tmp_path):
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
    whole = files(folder, "train.tfrecord-*")
    assert 0 < len(whole) < 4
    with caches.named(TASK, tmp_path / "out"), pytest.raises(UsageError, match="is not complete"):
        preflight.check_split("text", "train", use_cached=True)
    assert parsing.run("prepare", words) == 0
    assert whole.items() <= files(folder, "train.tfrecord-*").items()
    found = json.loads((folder / "primer.json").read_text())["splits"]
    assert sum(found[split]["examples"] for split in found) == 40_000
    assert not list(folder.glob(".*"))


def test_other_settings_are_refused(prepared):
    with pytest.raises(UsageError, match=r"other settings \(shards: 3, now 4\)"):
        make(prepared[0], shards=4)
    gin.bind_parameter("task_vocabulary.name", "bytes")
    with pytest.raises(UsageError, match="vocabulary: 'sentencepiece .* now 'bytes, 259 ids'"):
        make(prepared[0])


def test_changed_input_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    gin.bind_parameter("text_files.glob", str(tmp_path / "*.txt"))
    make(tmp_path / "out", "text")
    (tmp_path / "b.txt").write_text("three\n")
    with pytest.raises(UsageError, match="input: {'bytes': 8"):
        make(tmp_path / "out", "text")


def test_another_vocabulary_is_refused_at_the_start(cache):
    gin.bind_parameter("task_vocabulary.name", "bytes")
    with pytest.raises(UsageError, match="prepared with another vocabulary") as error:
        preflight.check_split(TASK, "train", use_cached=True)
    assert str(cache) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(UsageError, match="prepared with another vocabulary"):
        seqio.TaskRegistry.get(TASK).get_dataset({"targets": 64}, "train", use_cached=True)


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_shard_is_named_and_written_again(prepared, tmp_path, damage):
    shutil.copytree(prepared[0], tmp_path / "copy")
    path = tmp_path / "copy" / TASK / "train.tfrecord-00001-of-00003"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    else:
        path.unlink()
    with caches.named(TASK, tmp_path / "copy"):
        with pytest.raises(UsageError, match=f"{path.name} (has|is missing)"):
            preflight.check_split(TASK, "train", use_cached=True)
        make(tmp_path / "copy")
        preflight.check_split(TASK, "train", use_cached=True)
    assert files(tmp_path / "copy" / TASK) == files(prepared[0] / TASK)


def test_a_damaged_byte_is_found_by_its_checksum(prepared, tmp_path):
    shutil.copytree(prepared[0], tmp_path / "copy")
    path = tmp_path / "copy" / TASK / "train.tfrecord-00001-of-00003"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with caches.named(TASK, tmp_path / "copy"), pytest.raises(tf.errors.DataLossError):
        dataset = seqio.TaskRegistry.get(TASK)._get_cached_source("train").get_dataset("train")
        list(dataset.as_numpy_iterator())


def test_no_cache_is_said_with_the_command_that_makes_it(tmp_path):
    with caches.named(TASK), pytest.raises(UsageError, match="--additional_task_cache_dirs=DIR"):
        preflight.check_split(TASK, "train", use_cached=True)
    with (
        caches.named(TASK, tmp_path),
        pytest.raises(UsageError, match="primer data prepare --task text"),
    ):
        preflight.check_split(TASK, "train", use_cached=True)


def test_settings_of_the_text_cannot_change_any_more(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    gin.bind_parameter("text_files.glob", str(tmp_path / "*.txt"))
    make(tmp_path / "out", "text")
    with caches.named(TASK, tmp_path / "out"):
        gin.bind_parameter("text_files.glob", None)
        preflight.check_split("text", "train", use_cached=True)
        gin.bind_parameter("text_files.unit", "line")
        with pytest.raises(UsageError, match="text_files.unit is 'line', and .* with 'file'"):
            preflight.check_split("text", "train", use_cached=True)


def test_a_full_disk_is_one_message_and_keeps_what_is_finished(tmp_path, monkeypatch):
    stock = writers.SeqioWriter.__init__

    def init(self, directory, split, index, *rest):
        if index == 1 and split == "train":
            # The file of this shard is the device that is always full.
            os.symlink("/dev/full", os.path.join(directory, f".{split}-{index:05d}.unfinished"))
        stock(self, directory, split, index, *rest)

    monkeypatch.setattr(writers.SeqioWriter, "__init__", init)
    with pytest.raises(RunError, match="no space left for shard 1 of 3 in") as error:
        make(tmp_path)
    assert "\n" not in str(error.value) and "same command again" in str(error.value)
    folder = tmp_path / TASK
    assert len(files(folder)) == 2 and not list(folder.glob(".*unfinished"))
    monkeypatch.undo()
    make(tmp_path)
    assert (folder / "COMPLETED").exists()


def test_records_of_gpt_neo(tmp_path):
    found = make(tmp_path, format="gpt_neo")
    folder = tmp_path / TASK
    expected = [ids.tolist() + [1] for _, ids in whole_documents.documents(TASK, "validation")]
    documents = [ids.tolist() for ids in parsing.ids(folder, "validation_*", "text")]
    assert sorted(documents) == sorted(expected)
    for path in folder.glob("*.tfrecords"):
        # GPT-Neo takes the number of records from the name.
        number = int(path.name.split("_")[-1].split(".")[0])
        assert number == len(list(parsing.ids(folder, path.name, "text")))
    assert not (folder / "COMPLETED").exists()
    assert found["splits"]["validation"]["tokens"] == sum(map(len, expected)) - len(expected)


def test_chunks_of_gpt_neo(tmp_path):
    found = make(tmp_path, format="gpt_neo", chunk_size=129)
    chunks = [ids.tolist() for ids in parsing.ids(tmp_path / TASK, "train_*", "text")]
    assert {len(chunk) for chunk in chunks} == {129}
    parts = [shard["splits"]["train"] for shard in found["shards"]]
    left_out = sum(part["left_out_tokens"] for part in parts)
    counted = found["splits"]["train"]
    assert len(chunks) * 129 + left_out == counted["tokens"] + counted["examples"]
    assert 0 < left_out < 3 * 129


def test_what_cannot_be_prepared_is_refused(tmp_path):
    for options, words in (
        ({"format": "arrow"}, "--format arrow: expected one of seqio, gpt_neo"),
        ({"shards": 0}, "--shards 0"),
        ({"chunk_size": 8}, "--format gpt_neo"),
    ):
        with pytest.raises(UsageError, match=words):
            make(tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_prepared_tensorflow_data_sets(tfds_dir, tmp_path):
    gin.bind_parameter("task_vocabulary.name", "bytes")
    task = "lm1b_autoregressive_language_modeling"
    found = make(tmp_path, task, shards=5)
    for split in ("train", "validation", "test"):
        expected = counts.Counts()
        for content, ids in whole_documents.documents(task, split):
            expected.add([content.encode()], ids, [0, len(ids)])
        assert found["splits"][split] == expected.as_dict()


def test_the_vocabulary_of_t5(shared_data, tmp_path):
    model = shared_data / "cc_all.32000.model"
    (tmp_path / "a.txt").write_text("translate English to German: That is good.")
    words = ["--input", str(tmp_path / "a.txt"), "--held_out", "0", "--vocabulary", str(model)]
    assert (
        parsing.run("prepare", [*words, "--output", str(tmp_path / "out"), "--workers", "1"]) == 0
    )
    (ids,) = parsing.ids(tmp_path / "out" / "text", "train.tfrecord-*", "targets")
    assert ids.tolist() == [13959, 1566, 12, 2968, 10, 466, 19, 207, 5]


def test_the_command_counts_what_it_leaves_out(tmp_path, capsys):
    (tmp_path / "a.txt").write_bytes(b"fine\n\ncaf\xe9\n")
    words = ["--input", str(tmp_path / "*.txt"), "--unit", "line", "--vocabulary", "bytes"]
    words += ["--output", str(tmp_path / "out"), "--workers", "1", "--held_out", "0"]
    with pytest.raises(UsageError, match="a.txt is not UTF-8"):
        parsing.run("prepare", words)
    assert not (tmp_path / "out").exists()
    assert parsing.run("prepare", [*words, "--on_bad_utf8", "skip"]) == 0
    said = capsys.readouterr()
    assert "1 documents that are not UTF-8" in said.err and "a.txt (1)" in said.err
    assert "1 empty documents" in said.err
    assert json.loads((tmp_path / "out/text/stats.train.json").read_text())["examples"] == 1


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "--input GLOB or --task TASK"),
        (["--task", "sotu", "--normalize", "nfkc"], "--normalize nfkc goes with --input"),
        (["--task", "sotu", "--vocabulary", "/nowhere.model"], "--vocabulary /nowhere.model"),
        (["--task", "sotu", "--workers", "0"], "--workers 0"),
        (["--input", "/nowhere/*.txt"], "matches no file"),
    ],
)
def test_the_command_refuses(tmp_path, words, message):
    with pytest.raises(UsageError, match=message):
        parsing.run("prepare", [*words, "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_the_manifest_is_written_last(tmp_path, monkeypatch):
    """Whatever is cut off before COMPLETED is finished by the next run."""
    stock = files.write_whole

    def fail(path, content):
        if path.endswith("COMPLETED"):
            raise OSError(28, "No space left on device")
        stock(path, content)

    (tmp_path / "a.txt").write_text("one\ntwo\n")
    gin.bind_parameter("text_files.glob", str(tmp_path / "*.txt"))
    monkeypatch.setattr(manifest, "write_text", fail)
    with pytest.raises(RunError, match="no space left"):
        make(tmp_path / "out", "text")
    monkeypatch.undo()
    assert make(tmp_path / "out", "text")["splits"]["train"]["examples"] == 1
    assert (tmp_path / "out/text/COMPLETED").exists()
    assert task_vocabulary.vocabulary_names()[0] == "t5"
