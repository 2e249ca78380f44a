"""Data sets of local files on genuine text: words, bytes, borders, and what is refused."""

import pathlib
import re

import gin
import numpy as np
import pytest
import seqio

from primer.data import preflight, whole_documents
from primer.data.sources import blocks, local_files
from primer.data.sources.local_datasets import LOCAL_DATASETS
from primer.errors import UsageError
from primer.evaluation import tokenized_split
from tests.data import fabricate, parsing

WIKIPEDIA = pathlib.Path(__file__).with_name("wikipedia")
LM1B_TEST = "heldout-monolingual.tokenized.shuffled/news.en.heldout-00000-of-00050"


@pytest.fixture
def use(tmp_path):
    """A function that sets local_data; shortened files below the test's own folder by default."""

    def bind(folder=tmp_path, vocabulary="bytes", **settings):
        gin.bind_parameter("local_data.folder", str(folder))
        gin.bind_parameter("task_vocabulary.name", vocabulary)
        for name, value in settings.items():
            gin.bind_parameter(f"local_data.{name}", value)
        return folder

    return bind


@pytest.fixture
def short(use, tmp_path):
    """The folder of shortened files, which are used because the user says so."""
    return use(tmp_path, check=False)


def texts(task, split):
    return [text for text, _ in whole_documents.documents(task, split)]


# WikiText


def wikitext2(shared_data, split):
    name = {"validation": "valid"}.get(split, split)
    return (shared_data / "wikitext-2" / f"wiki.{name}.tokens").read_bytes()


@pytest.mark.parametrize("split, words", [("validation", 217_646), ("test", 245_569)])
def test_wikitext_has_the_words_of_the_papers_by_lines(use, shared_data, split, words):
    use(shared_data)
    preflight.check("wikitext2", split)
    lines = texts("wikitext2", split)
    assert sum(len(line.split()) + 1 for line in lines) == words
    assert tokenized_split.read("wikitext2", split).words == words
    assert "".join(f"{line}\n" for line in lines).encode() == wikitext2(shared_data, split)


@pytest.mark.parametrize("vocabulary", ["bytes", "sotu"])
def test_articles_are_documents_whose_lines_end_in_the_end_token(use, shared_data, vocabulary):
    use(shared_data, vocabulary)
    task = seqio.TaskRegistry.get("wikitext2")
    lines = [ids.tolist() for _, ids in whole_documents.documents("wikitext2", "validation")]
    content = wikitext2(shared_data, "validation").split(b"\n")
    starts = [number for number, line in enumerate(content) if re.match(rb" = [^=]", line)]
    assert len(starts) == 60
    # Documents start at the blank line before a title; the objective ends them, or does not.
    last = {number - 2 for number in starts[1:]} | {len(lines) - 1}
    stream = [
        token
        for number, line in enumerate(lines)
        for token in (line if number in last else [*line, 1])
    ]
    articles = task.preprocess_precache(task.source.get_dataset("validation", shuffle=False))
    found = [x["targets"].tolist() for x in articles.as_numpy_iterator()]
    assert len(found) == 60
    assert sum(found, []) == stream


@pytest.mark.parametrize("vocabulary", ["bytes", "sotu"])
def test_prepared_articles_have_the_ids_of_those_that_were_read(
    short, shared_data, tmp_path, vocabulary
):
    gin.bind_parameter("task_vocabulary.name", vocabulary)
    for name in ("train", "valid", "test"):
        text = wikitext2(shared_data, "test" if name == "test" else "validation")
        (short / f"wiki.{name}.tokens").write_bytes(text[:200_000])
    words = ["--task", "wikitext2", "--output", tmp_path / "out", "--shards", "3"]
    settings = [f"local_data.folder = {str(short)!r}", "local_data.check = False"]
    settings.append(f"task_vocabulary.name = {vocabulary!r}")
    words += [word for setting in settings for word in ("--gin_param", setting)]
    assert parsing.run("prepare", [*words, "--workers", "1"]) == 0
    task = seqio.TaskRegistry.get("wikitext2")
    articles = task.preprocess_precache(task.source.get_dataset("test", shuffle=False))
    expected = [x["targets"].tolist() for x in articles.as_numpy_iterator()]
    found = parsing.ids(tmp_path / "out" / "wikitext2", "test.tfrecord-*", "targets")
    assert [ids.tolist() for ids in found] == expected and len(expected) > 5


@pytest.mark.slow
def test_training_joins_the_articles(use, shared_data, chunks):
    use(shared_data, "sotu")
    parts = chunks("wikitext2", "test", length=70, number=-1, shuffle=False)
    assert {len(part) for part in parts[:-1]} == {70} and all(part[-1] == 1 for part in parts)
    tokens = sum(len(ids) + 1 for _, ids in whole_documents.documents("wikitext2", "test"))
    # All but the last line's end of each article, which the objective drops.
    assert sum(len(part) - 1 for part in parts) == tokens - 60


def test_articles_are_the_file(use, shared_data):
    use(shared_data)
    path = shared_data / "wikitext-2" / "wiki.test.tokens"
    # Two lines of its text look like titles, but for the lines around them.
    assert len(blocks.article_starts(str(path))) == 60
    documents = seqio.TaskRegistry.get("wikitext2").source.get_dataset("test", shuffle=False)
    joined = b"".join(x["text"] + b"\n" for x in documents.as_numpy_iterator())
    assert joined == path.read_bytes()


def test_titles_are_found_wherever_the_file_is_read(use, shared_data, monkeypatch):
    path = str(shared_data / "wikitext-2" / "wiki.valid.tokens")
    expected = blocks.article_starts(path)
    for size in (4096, 5000, 100_003):
        monkeypatch.setattr(blocks, "_SCAN_BYTES", size)
        assert list(blocks._scan(path)) == expected


def test_raw_files_are_a_task_of_their_own(short, shared_data):
    (short / "wikitext-103-raw").mkdir()
    (short / "wikitext-103-raw" / "wiki.test.raw").write_bytes(wikitext2(shared_data, "test"))
    assert len(texts("wikitext103_raw", "test")) == 4358
    # The other variant's files are others, beside them.
    assert "wiki.test.tokens" in refused("wikitext103", "test")


def test_a_prompt_of_several_lines_reads_as_training_does(use, shared_data):
    for vocabulary in ("bytes", "sotu"):
        use(shared_data, vocabulary)
        feature = seqio.TaskRegistry.get("wikitext2").output_features["targets"].vocabulary
        prompt = " \n = Homarus gammarus = \n \n A lobster"
        (ids,) = whole_documents.encode(feature, [prompt])
        assert ids.tolist() == feature.encode(prompt) and ids.tolist().count(1) == 3
        assert feature.decode(ids.tolist()) == prompt
        assert feature.decode([*ids.tolist(), 1, 0, 0]) == prompt


# enwik8 and text8


def cut_within_a_character(content, share):
    """The longest start of a text whose border at so many percent lies within a character."""
    for size in range(len(content), 0, -1):
        if content[size * share // 100] & 0xC0 == 0x80:
            return content[:size]
    raise AssertionError("no character of several bytes")


def test_enwik8_is_read_byte_for_byte(short, chunks):
    content = cut_within_a_character((WIKIPEDIA / "excerpt.xml").read_bytes(), 90)
    (short / "enwik8").write_bytes(content)
    size = len(content)
    borders = [0, size * 90 // 100, size * 95 // 100, size]
    with pytest.raises(UnicodeDecodeError):
        content[: borders[1]].decode()
    for split, first, end in zip(("train", "validation", "test"), borders, borders[1:]):
        preflight.check("enwik8", split)
        ((read, ids),) = whole_documents.documents("enwik8", split)
        assert whole_documents.as_bytes(read) == content[first:end]
        assert bytes((ids - 3).tolist()) == content[first:end]
        parts = chunks("enwik8", split, length=256, number=-1, shuffle=False)
        trained = bytes(token - 3 for part in parts for token in part[:-1])
        assert trained == content[first:end]


def test_evaluation_counts_the_bytes_of_a_cut_character(short):
    content = cut_within_a_character((WIKIPEDIA / "excerpt.xml").read_bytes(), 95)
    (short / "enwik8").write_bytes(content)
    size = len(content)
    for split, part in (("train", (0, 90)), ("validation", (90, 95)), ("test", (95, 100))):
        first, end = (size * percent // 100 for percent in part)
        read = tokenized_split.read("enwik8", split)
        assert read.bytes == len(read.ids) == end - first + 1
        assert read.lengths.tolist() == [end - first + 1]


def test_bytes_that_are_no_text_survive(short):
    content = bytes(range(256)) * 40 + b"\0\0"
    (short / "enwik8").write_bytes(content)
    found = b"".join(
        whole_documents.as_bytes(read)
        for s in LOCAL_DATASETS["enwik8"].splits
        for read in texts("enwik8", s)
    )
    assert found == content


def test_text8_of_the_filter_has_27_characters(short):
    (short / "text8").mkdir()
    content = (WIKIPEDIA / "excerpt.text8").read_bytes()
    (short / "text8" / "text8").write_bytes(content)
    found = [texts("text8", split) for split in ("train", "validation", "test")]
    assert [len(split) for split in found] == [1, 1, 1]
    assert "".join(text for (text,) in found).encode() == content
    size = len(content)
    assert len(found[1][0]) == size * 95 // 100 - size * 90 // 100
    assert set(content) <= set(b" abcdefghijklmnopqrstuvwxyz")


# PTB and LM1B: lines without documents


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def test_ptb_is_lines_in_order(short, chunks):
    lines = [f" {line.lower()} " for line in fabricate.texts(fabricate.LM1B, "train")]
    write_lines(short / "simple-examples" / "data" / "ptb.train.txt", lines)
    gin.bind_parameter("local_data.block_bytes", 1024)
    assert texts("ptb", "train") == lines
    task = seqio.TaskRegistry.get("ptb")
    documents = [x["text"] for x in task.source.get_dataset(shuffle=False).as_numpy_iterator()]
    assert b"\n".join(documents).decode().split("\n") == lines
    assert len(documents) > 20
    gin.bind_parameter("local_data.block_bytes", None)
    (whole,) = task.source.get_dataset(shuffle=False).as_numpy_iterator()
    assert whole["text"] == b"\n".join(documents)


def test_lm1b_reads_the_shards_that_papers_count(short):
    sentences = fabricate.texts(fabricate.LM1B, "train")
    for number, file in enumerate(LOCAL_DATASETS["lm1b_words"].splits["train"].files):
        write_lines(short / "lm1b" / file.names[0], sentences[number::99])
    write_lines(short / "lm1b" / LM1B_TEST, ["the test shard", ""])
    write_lines(short / "lm1b" / LM1B_TEST.replace("00000", "00001"), ["validation"])
    assert len(LOCAL_DATASETS["lm1b_words"].splits["train"].files) == 99
    assert sorted(texts("lm1b_words", "train")) == sorted(sentences)
    assert texts("lm1b_words", "test") == ["the test shard", ""]
    assert texts("lm1b_words", "validation") == ["validation"]


@pytest.mark.parametrize("kind, unit", [("line", "line"), ("bytes", "split")])
@pytest.mark.parametrize("block_bytes", [1024, 5000, 1 << 20])
def test_blocks_are_the_file_however_they_are_cut(short, kind, unit, block_bytes):
    """Long lines, blank lines, no last line end: every byte once, no line in two blocks."""
    generator = np.random.default_rng(block_bytes)
    lines = [b"w " * int(size) for size in generator.choice([0, 0, 5, 40, 400, 4000], 300)]
    lines[100] = b"x" * 20_000  # Without a blank.
    gin.bind_parameter("local_data.block_bytes", block_bytes)
    name = {"line": "ptb", "bytes": "text8"}[kind]
    file = LOCAL_DATASETS[name].splits["train"].files[0].names[0]
    for end in (b"\n", b""):
        content = b"\n".join(lines) + end
        (short / file).write_bytes(content)
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


def test_shuffling_follows_the_seed_and_loses_nothing(short):
    (short / "enwik8").write_bytes((WIKIPEDIA / "excerpt.xml").read_bytes())
    gin.bind_parameter("local_data.block_bytes", 1024)
    source = seqio.TaskRegistry.get("enwik8").source

    def read(**options):
        return [x["text"] for x in source.get_dataset("train", **options).as_numpy_iterator()]

    in_order = read(shuffle=False)
    assert read(seed=1) == read(seed=1) != read(seed=2)
    assert sorted(read(seed=1)) == sorted(in_order) != in_order
    shards = [read(shuffle=False, shard_info=seqio.ShardInfo(i, 3)) for i in range(3)]
    assert sorted(sum(shards, [])) == sorted(in_order)


def test_the_pipeline_continues_from_a_saved_position(short):
    import tensorflow.compat.v1 as tf

    (short / "enwik8").write_bytes((WIKIPEDIA / "excerpt.xml").read_bytes())
    gin.bind_parameter("local_data.block_bytes", 1024)

    def pipeline():
        dataset = blocks.split_documents(LOCAL_DATASETS["enwik8"], "train", True, 3)
        iterator = tf.data.make_initializable_iterator(dataset)
        saver = tf.train.Saver([tf.data.experimental.make_saveable_from_iterator(iterator, "warn")])
        return iterator, iterator.get_next()["text"], saver

    position = str(short / "position")
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


# What is refused


def refused(task, split):
    with pytest.raises(UsageError) as error:
        preflight.check(task, split)
    message = str(error.value)
    assert "\n" not in message
    with pytest.raises(UsageError, match="^" + re.escape(message)):
        seqio.TaskRegistry.get(task).source.get_dataset(split)
    return message


def test_without_a_folder_the_setting_and_the_address_are_named(monkeypatch, tmp_path):
    gin.bind_parameter("task_vocabulary.name", "bytes")
    monkeypatch.delenv(local_files.DATA_DIR_VARIABLE, raising=False)
    message = refused("enwik8", "train")
    assert "local_data.folder is not set" in message and "enwik8.zip" in message
    monkeypatch.setenv(local_files.DATA_DIR_VARIABLE, str(tmp_path))
    assert f"no enwik8 of enwik8 below {tmp_path}" in refused("enwik8", "train")


@pytest.mark.parametrize("task", LOCAL_DATASETS)
def test_a_missing_file_is_named_with_where_it_comes_from(use, tmp_path, task):
    use(tmp_path / "nothing")
    for split in LOCAL_DATASETS[task].splits:
        message = refused(task, split)
        assert LOCAL_DATASETS[task].splits[split].files[0].names[0] in message
        assert LOCAL_DATASETS[task].url in message and "local_data.folder" in message


def test_a_file_of_another_size_is_refused_unless_the_user_says_so(use, tmp_path):
    use()
    (tmp_path / "enwik8").write_bytes(b"<mediawiki>" * 50)
    message = refused("enwik8", "train")
    assert "has 550 bytes; expected 100,000,000" in message and "local_data.check" in message
    use(check=False)
    preflight.check("enwik8", "train")
    use(check="no")
    assert "local_data.check is 'no'; expected True or False" in refused("enwik8", "train")


def test_a_file_of_another_content_is_refused(use, shared_data, tmp_path):
    use()
    content = wikitext2(shared_data, "validation")
    (tmp_path / "wikitext-2").mkdir()
    path = tmp_path / "wikitext-2" / "wiki.valid.tokens"
    path.write_bytes(content)
    preflight.check("wikitext2", "validation")
    path.write_bytes(content.replace(b"lobster", b"Lobster", 1))
    message = refused("wikitext2", "validation")
    assert str(path) in message and "its sha1 is" in message
    assert "expected 0418625c8b4da6e4b5c7a0b9e78d4ae8f7ee5422" in message


def test_lm1b_is_counted_where_no_checksum_is_known(use, tmp_path):
    use()
    write_lines(tmp_path / LM1B_TEST, ["a few words"])
    message = refused("lm1b_words", "test")
    assert "number of words, one per line's end included, is 4; expected 159658" in message
    for file in LOCAL_DATASETS["lm1b_words"].splits["train"].files:
        write_lines(tmp_path / file.names[0], ["a few words"])
    assert "the 99 files of split 'train'" in refused("lm1b_words", "train")


def test_an_empty_file_is_refused_even_when_shortened_ones_are_not(short):
    (short / "text8").write_bytes(b"")
    assert "is empty" in refused("text8", "train")


def test_block_sizes_without_meaning_are_refused(short):
    (short / "text8").write_bytes(b"some text")
    gin.bind_parameter("local_data.block_bytes", 10)
    assert "local_data.block_bytes is 10" in refused("text8", "train")


def test_the_facts_are_well_formed():
    lengths = {"md5": 32, "sha1": 40, "sha256": 64}
    for local_set in LOCAL_DATASETS.values():
        assert set(local_set.splits) == {"train", "validation", "test"}
        for split in local_set.splits.values():
            for file in split.files:
                if file.digest is not None:
                    assert re.fullmatch("[0-9a-f]*", file.digest)
                    assert len(file.digest) == lengths[file.digest_kind]
        assert local_set.url.startswith("http")
