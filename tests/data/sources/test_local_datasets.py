"""The tasks of local data sets on genuine text: their words, bytes, tokens and lines."""

import re

import gin
import pytest
import seqio

from primer.data import preflight, whole_documents
from primer.data.sources.local_datasets import LOCAL_DATASETS
from primer.evaluation import tokenized_split
from tests.data import fabricate, parsing
from tests.data.sources.local_sets import (
    LM1B_TEST,
    WIKIPEDIA,
    error_of,
    texts,
    wikitext2,
    write_lines,
)


@pytest.mark.parametrize("split, words", [("validation", 217_646), ("test", 245_569)])
def test_wikitext_2_has_the_number_of_words_of_the_papers(local_data, shared_data, split, words):
    local_data(shared_data)
    preflight.check_split("wikitext2", split)
    lines = texts("wikitext2", split)
    assert sum(len(line.split()) + 1 for line in lines) == words
    assert tokenized_split.read_split("wikitext2", split).words == words
    assert "".join(f"{line}\n" for line in lines).encode() == wikitext2(shared_data, split)


@pytest.mark.parametrize("vocabulary", ["bytes", "sotu"])
def test_lines_of_articles_end_with_the_end_token(local_data, shared_data, vocabulary):
    local_data(shared_data, vocabulary)
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
def test_prepared_articles_have_the_ids_of_the_source(
    shortened_files, shared_data, tmp_path, vocabulary
):
    gin.bind_parameter("task_vocabulary.name", vocabulary)
    for name in ("train", "valid", "test"):
        text = wikitext2(shared_data, "test" if name == "test" else "validation")
        (shortened_files / f"wiki.{name}.tokens").write_bytes(text[:200_000])
    words = ["--task", "wikitext2", "--output", tmp_path / "out", "--shards", "3"]
    settings = [f"local_data.folder = {str(shortened_files)!r}", "local_data.check = False"]
    settings.append(f"task_vocabulary.name = {vocabulary!r}")
    words += [word for setting in settings for word in ("--gin_param", setting)]
    assert parsing.run("prepare", [*words, "--workers", "1"]) == 0
    task = seqio.TaskRegistry.get("wikitext2")
    articles = task.preprocess_precache(task.source.get_dataset("test", shuffle=False))
    expected = [x["targets"].tolist() for x in articles.as_numpy_iterator()]
    found = parsing.ids(tmp_path / "out" / "wikitext2", "test.tfrecord-*", "targets")
    assert sorted(ids.tolist() for ids in found) == sorted(expected) and len(expected) > 5


@pytest.mark.slow
def test_training_joins_the_articles(local_data, shared_data, chunks):
    local_data(shared_data, "sotu")
    parts = chunks("wikitext2", "test", length=70, number=-1, shuffle=False)
    assert {len(part) for part in parts[:-1]} == {70} and all(part[-1] == 1 for part in parts)
    tokens = sum(len(ids) + 1 for _, ids in whole_documents.documents("wikitext2", "test"))
    # All but the last line's end of each article, which the objective drops.
    assert sum(len(part) - 1 for part in parts) == tokens - 60


def test_raw_wikitext_is_a_separate_task(shortened_files, shared_data):
    (shortened_files / "wikitext-103-raw").mkdir()
    (shortened_files / "wikitext-103-raw" / "wiki.test.raw").write_bytes(
        wikitext2(shared_data, "test")
    )
    assert len(texts("wikitext103_raw", "test")) == 4358
    # The tokenized variant has files of its own.
    assert "wiki.test.tokens" in error_of("wikitext103", "test")


def test_a_prompt_of_several_lines_is_encoded_as_in_training(local_data, shared_data):
    for vocabulary in ("bytes", "sotu"):
        local_data(shared_data, vocabulary)
        feature = seqio.TaskRegistry.get("wikitext2").output_features["targets"].vocabulary
        prompt = " \n = Homarus gammarus = \n \n A lobster"
        (ids,) = whole_documents.encode(feature, [prompt])
        assert ids.tolist() == feature.encode(prompt) and ids.tolist().count(1) == 3
        assert feature.decode(ids.tolist()) == prompt
        assert feature.decode([*ids.tolist(), 1, 0, 0]) == prompt


def cut_within_a_character(content, share):
    """The longest start of a text whose border at so many percent lies within a character."""
    for size in range(len(content), 0, -1):
        if content[size * share // 100] & 0xC0 == 0x80:
            return content[:size]
    raise AssertionError("no character of several bytes")


def test_enwik8_is_read_byte_for_byte(shortened_files, chunks):
    content = cut_within_a_character((WIKIPEDIA / "excerpt.xml").read_bytes(), 90)
    (shortened_files / "enwik8").write_bytes(content)
    size = len(content)
    borders = [0, size * 90 // 100, size * 95 // 100, size]
    with pytest.raises(UnicodeDecodeError):
        content[: borders[1]].decode()
    for split, first, end in zip(("train", "validation", "test"), borders, borders[1:]):
        preflight.check_split("enwik8", split)
        ((read, ids),) = whole_documents.documents("enwik8", split)
        assert whole_documents.as_bytes(read) == content[first:end]
        assert bytes((ids - 3).tolist()) == content[first:end]
        parts = chunks("enwik8", split, length=256, number=-1, shuffle=False)
        trained = bytes(token - 3 for part in parts for token in part[:-1])
        assert trained == content[first:end]


def test_evaluation_counts_the_bytes_of_a_cut_character(shortened_files):
    content = cut_within_a_character((WIKIPEDIA / "excerpt.xml").read_bytes(), 95)
    (shortened_files / "enwik8").write_bytes(content)
    size = len(content)
    for split, part in (("train", (0, 90)), ("validation", (90, 95)), ("test", (95, 100))):
        first, end = (size * percent // 100 for percent in part)
        read = tokenized_split.read_split("enwik8", split)
        assert read.bytes == len(read.ids) == end - first + 1
        assert read.lengths.tolist() == [end - first + 1]


def test_bytes_that_are_not_utf8_are_kept(shortened_files):
    content = bytes(range(256)) * 40 + b"\0\0"
    (shortened_files / "enwik8").write_bytes(content)
    found = b"".join(
        whole_documents.as_bytes(read)
        for s in LOCAL_DATASETS["enwik8"].splits
        for read in texts("enwik8", s)
    )
    assert found == content


def test_text8_of_the_filter_has_27_characters(shortened_files):
    (shortened_files / "text8").mkdir()
    content = (WIKIPEDIA / "excerpt.text8").read_bytes()
    (shortened_files / "text8" / "text8").write_bytes(content)
    found = [texts("text8", split) for split in ("train", "validation", "test")]
    assert [len(split) for split in found] == [1, 1, 1]
    assert "".join(text for (text,) in found).encode() == content
    size = len(content)
    assert len(found[1][0]) == size * 95 // 100 - size * 90 // 100
    assert set(content) <= set(b" abcdefghijklmnopqrstuvwxyz")


def test_ptb_is_lines_in_order(shortened_files, chunks):
    lines = [f" {line.lower()} " for line in fabricate.texts(fabricate.LM1B, "train")]
    write_lines(shortened_files / "simple-examples" / "data" / "ptb.train.txt", lines)
    gin.bind_parameter("local_data.block_bytes", 1024)
    assert texts("ptb", "train") == lines
    task = seqio.TaskRegistry.get("ptb")
    documents = [x["text"] for x in task.source.get_dataset(shuffle=False).as_numpy_iterator()]
    assert b"\n".join(documents).decode().split("\n") == lines
    assert len(documents) > 20
    gin.bind_parameter("local_data.block_bytes", None)
    (whole,) = task.source.get_dataset(shuffle=False).as_numpy_iterator()
    assert whole["text"] == b"\n".join(documents)


def test_lm1b_reads_the_shards_that_papers_count(shortened_files):
    sentences = fabricate.texts(fabricate.LM1B, "train")
    for number, file in enumerate(LOCAL_DATASETS["lm1b_words"].splits["train"].files):
        write_lines(shortened_files / "lm1b" / file.names[0], sentences[number::99])
    write_lines(shortened_files / "lm1b" / LM1B_TEST, ["the test shard", ""])
    write_lines(shortened_files / "lm1b" / LM1B_TEST.replace("00000", "00001"), ["validation"])
    assert len(LOCAL_DATASETS["lm1b_words"].splits["train"].files) == 99
    assert sorted(texts("lm1b_words", "train")) == sorted(sentences)
    assert texts("lm1b_words", "test") == ["the test shard", ""]
    assert texts("lm1b_words", "validation") == ["validation"]


def test_published_facts_are_well_formed():
    lengths = {"md5": 32, "sha1": 40, "sha256": 64}
    for local_set in LOCAL_DATASETS.values():
        assert set(local_set.splits) == {"train", "validation", "test"}
        for split in local_set.splits.values():
            for file in split.files:
                if file.digest is not None:
                    assert re.fullmatch("[0-9a-f]*", file.digest)
                    assert len(file.digest) == lengths[file.digest_kind]
        assert local_set.url.startswith("http")
