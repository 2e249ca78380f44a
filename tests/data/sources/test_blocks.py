"""Blocks of local files: they cover the file in any cut, in order, and reading can be resumed."""

import gin
import numpy as np
import pytest
import seqio

from primer.data.sources import blocks, local_files
from primer.data.sources.local_datasets import LOCAL_DATASETS
from tests.data.sources.local_sets import WIKIPEDIA, texts


def test_articles_cover_the_file(local_data, shared_data):
    local_data(shared_data)
    path = shared_data / "wikitext-2" / "wiki.test.tokens"
    # Two lines of its text look like titles, but for the lines around them.
    assert len(blocks.article_starts(str(path))) == 60
    documents = seqio.TaskRegistry.get("wikitext2").source.get_dataset("test", shuffle=False)
    joined = b"".join(x["text"] + b"\n" for x in documents.as_numpy_iterator())
    assert joined == path.read_bytes()


def test_article_starts_do_not_depend_on_the_chunk_size(local_data, shared_data, monkeypatch):
    path = str(shared_data / "wikitext-2" / "wiki.valid.tokens")
    expected = blocks.article_starts(path)
    for size in (4096, 5000, 100_003):
        monkeypatch.setattr(blocks, "_SCAN_BYTES", size)
        assert list(blocks._scan(path)) == expected


@pytest.mark.parametrize("kind, unit", [("line", "line"), ("bytes", "split")])
@pytest.mark.parametrize("block_bytes", [1024, 5000, 1 << 20])
def test_blocks_cover_the_file_for_every_block_size(shortened_files, kind, unit, block_bytes):
    """Long lines, blank lines, no last line end: every byte once, no line in two blocks."""
    generator = np.random.default_rng(block_bytes)
    lines = [b"w " * int(size) for size in generator.choice([0, 0, 5, 40, 400, 4000], 300)]
    lines[100] = b"x" * 20_000  # Without a blank.
    gin.bind_parameter("local_data.block_bytes", block_bytes)
    name = {"line": "ptb", "bytes": "text8"}[kind]
    file = LOCAL_DATASETS[name].splits["train"].files[0].names[0]
    for end in (b"\n", b""):
        content = b"\n".join(lines) + end
        (shortened_files / file).write_bytes(content)
        section = content[: len(content) * LOCAL_DATASETS[name].splits["train"].part[1] // 100]
        source = seqio.TaskRegistry.get(name).source
        read = [x["text"] for x in source.get_dataset(shuffle=False).as_numpy_iterator()]
        joint = b"\n" if unit == "line" else b""
        assert joint.join(read) == (content.removesuffix(b"\n") if unit == "line" else section)
        if kind == "bytes":
            assert max(map(len, read)) <= block_bytes + 4096
        else:
            found = [read.encode() for read in texts(name, "train")]
            assert found == lines if end or lines[-1] else found == lines[:-1]


def test_shards_divide_the_blocks(shortened_files):
    (shortened_files / "enwik8").write_bytes((WIKIPEDIA / "excerpt.xml").read_bytes())
    gin.bind_parameter("local_data.block_bytes", 1024)
    source = seqio.TaskRegistry.get("enwik8").source

    def read(**options):
        return [x["text"] for x in source.get_dataset("train", **options).as_numpy_iterator()]

    shards = [read(shard_info=seqio.ShardInfo(index, 3)) for index in range(3)]
    assert sorted(sum(shards, [])) == sorted(read()) and len(read()) > 3


def test_the_pipeline_continues_from_a_saved_position(shortened_files):
    import tensorflow.compat.v1 as tf

    (shortened_files / "enwik8").write_bytes((WIKIPEDIA / "excerpt.xml").read_bytes())
    gin.bind_parameter("local_data.block_bytes", 1024)

    def pipeline():
        dataset = blocks.split_documents(LOCAL_DATASETS["enwik8"], "train")
        iterator = tf.data.make_initializable_iterator(dataset)
        saver = tf.train.Saver([tf.data.experimental.make_saveable_from_iterator(iterator, "warn")])
        return iterator, iterator.get_next()["text"], saver

    position = str(shortened_files / "position")
    with tf.Graph().as_default(), tf.Session() as session:
        iterator, following, saver = pipeline()
        session.run(iterator.initializer)
        for _ in range(7):
            session.run(following)
        saver.save(session, position)
        expected = [session.run(following) for _ in range(7)]
    with tf.Graph().as_default(), tf.Session() as session:
        iterator, following, saver = pipeline()
        session.run(iterator.initializer)
        saver.restore(session, position)
        assert [session.run(following) for _ in range(7)] == expected


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_parts_of_a_split_are_samples_of_its_blocks(shortened_files, seed):
    (shortened_files / "enwik8").write_bytes((WIKIPEDIA / "excerpt.xml").read_bytes())
    gin.bind_parameter("local_data.block_bytes", 1024)
    enwik8 = LOCAL_DATASETS["enwik8"]

    def content(dataset):
        return [x["text"] for x in dataset.as_numpy_iterator()]

    parts = [content(blocks.split_part(enwik8, "train", index, 3, seed)) for index in range(3)]
    whole = content(blocks.split_documents(enwik8, "train"))
    assert len(whole) > 20 and sorted(sum(parts, [])) == sorted(whole)
    for part in parts:  # One of each three blocks.
        places = [whole.index(text) // 3 for text in part]
        assert len(places) == len(set(places)) >= len(whole) // 3


@pytest.mark.parametrize("name", ["enwik8", "lm1b_words"])
def test_each_document_has_its_file(shortened_files, name):
    """One file, and many; a line longer than a block leaves an empty block."""
    local_set = LOCAL_DATASETS[name]
    for file in local_set.splits["train"].files:
        path = shortened_files / file.names[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"One line of a text.\n" * 100 + b"x" * 10_000 + b"\n")
    gin.bind_parameter("local_data.block_bytes", 1024)
    files = blocks.document_files(local_set, "train")
    documents = list(blocks.split_documents(local_set, "train").as_numpy_iterator())
    assert len(files) == len(documents) >= len(local_set.splits["train"].files)
    assert list(dict.fromkeys(files)) == local_files.split_paths(local_set, "train")
