"""The texts of a split before tokenization; no vocabulary is read."""

import gin
import pytest
import seqio

import primer.data.tasks  # noqa: F401  Registers the tasks.
from primer.data.vocabulary_training import build, raw_texts, sotu_vocabulary
from primer.errors import UsageError


def test_texts_are_those_of_the_split():
    gin.bind_parameter("task_vocabulary.name", "words")  # Without a file it cannot be read.
    raw_texts.check_split("sotu", "train")
    assert [text.decode() for text in raw_texts.split_texts("sotu", "train")] == list(
        sotu_vocabulary.training_texts()
    )
    with pytest.raises(UsageError, match="no split 'tests'"):
        raw_texts.check_split("sotu", "tests")


def test_incomplete_characters_at_the_ends_are_dropped():
    whole = "caf\u00e9 \u2603".encode()
    assert raw_texts._drop_cut_characters(whole) == whole
    assert raw_texts._drop_cut_characters(whole[:-1]) == "caf\u00e9 ".encode()
    assert raw_texts._drop_cut_characters(whole[4:]) == " \u2603".encode()
    assert raw_texts._drop_cut_characters(b"") == b""
    with pytest.raises(UsageError, match="is not UTF-8"):
        raw_texts._drop_cut_characters(b"caf\xe9 au lait")


def test_texts_of_a_task_without_its_vocabulary_are_read(tfds_dir):
    """LM1B's vocabulary is T5's, in a bucket."""
    name = "lm1b_autoregressive_language_modeling"
    raw_texts.check_split(name, "train", tfds_dir)
    texts = list(raw_texts.split_texts(name, "train"))
    assert len(texts) > 10 and not set(texts) & set(raw_texts.split_texts(name, "validation"))
    assert "words" in build.build_vocabulary(texts, "words", min_count=2).description
    with pytest.raises(UsageError, match="no prepared data"):
        raw_texts.check_split(name, "train", str(tfds_dir) + "/nowhere")


def test_a_mixture_gives_the_texts_of_its_tasks():
    name = "raw_texts_mixture"
    seqio.MixtureRegistry.add(name, ["sotu", "text"], default_rate=1.0)
    gin.bind_parameter("text_files.held_out", 0.0)
    try:
        assert [task.name for task in raw_texts.subtasks(name)] == ["sotu", "text"]
        with pytest.raises(UsageError, match="text_files.glob is not set"):
            raw_texts.check_split(name, "train")
    finally:
        seqio.MixtureRegistry.remove(name)
    with pytest.raises(UsageError, match="no task or mixture is called"):
        raw_texts.subtasks(name)
