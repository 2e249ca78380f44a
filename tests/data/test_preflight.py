"""Checks of tasks and splits before training or evaluation starts."""

import gin
import pytest
import seqio

from primer.data import preflight, whole_documents
from primer.errors import UsageError


def refused(*arguments, **options):
    with pytest.raises(UsageError) as error:
        preflight.check_split(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_valid_split_has_no_remark():
    assert preflight.check_split("sotu", "validation", model_vocab_size=8192) is None


def test_an_unknown_task_is_refused_with_a_suggestion():
    assert "did you mean 'sotu'" in refused("sotus", "train")
    assert "did you mean 'pg19_autoregressive" in refused("pg19", "train")
    assert "c4_v220_autoregressive_language_modeling" in refused("gutenberg", "train")


def test_an_unknown_split_is_refused_with_the_known_ones():
    message = refused("c4_v220_autoregressive_language_modeling", "test")
    assert "no split 'test'; it has train, validation" in message


def test_a_vocabulary_larger_than_the_models_is_refused():
    message = refused("sotu", "train", model_vocab_size=259)
    assert "8192" in message and "259" in message and "task_vocabulary.name" in message
    gin.bind_parameter("task_vocabulary.name", "bytes")
    preflight.check_split("sotu", "train", model_vocab_size=259)


def test_a_vocabulary_that_is_missing_is_refused_before_the_data_are_checked():
    gin.bind_parameter("task_vocabulary.model_file", "/nowhere/v.model")
    assert "/nowhere/v.model" in refused("pg19_autoregressive_language_modeling", "train")


@pytest.fixture
def mixture():
    seqio.MixtureRegistry.add("sotu_twice", [("sotu", 1.0), ("text", 1.0)])
    yield "sotu_twice"
    seqio.MixtureRegistry.remove("sotu_twice")


def test_each_task_of_a_mixture_is_checked_and_read(mixture, tmp_path):
    assert "text_files.glob is not set" in refused(mixture, "validation")
    (tmp_path / "a.txt").write_text("one document")
    gin.bind_parameter("text_files.glob", str(tmp_path / "a.txt"))
    gin.bind_parameter("text_files.held_out", 0.999999)
    texts = [text for text, _ in whole_documents.documents(mixture, "validation")]
    assert len(texts) == 13 and "one document" in texts


def test_without_a_similar_name_all_tasks_are_listed():
    message = refused("zzz", "train")
    assert "expected one of sotu, text," in message and "mixture" in message


def test_the_source_gets_the_folder_of_prepared_data_sets(tmp_path):
    name = "lm1b_autoregressive_language_modeling"
    gin.bind_parameter("task_vocabulary.name", "bytes")
    assert str(tmp_path) in refused(name, "train", tfds_data_dir=str(tmp_path))
