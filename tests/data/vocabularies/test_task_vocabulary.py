"""The vocabulary that gin chooses: when it is read, and which settings are refused."""

import copy
import pickle

import gin
import pytest
import seqio
import tensorflow as tf

from primer.data import vocabularies
from primer.data.vocabularies import task_vocabulary
from primer.data.vocabularies.task_vocabulary import TaskVocabulary
from primer.errors import UsageError

TEXT = "Fellow-Citizens:\n\nThe  state of the Union is good ☃ naïve\n"


def bind(**settings):
    for name, value in settings.items():
        gin.bind_parameter(f"task_vocabulary.{name}", value)


def test_without_settings_a_task_has_its_own_vocabulary():
    assert TaskVocabulary("sotu").vocab_size == 8192
    assert TaskVocabulary("t5").choice() == ("t5", task_vocabulary.T5_MODEL, 100)


def test_settings_are_read_at_each_use():
    vocabulary = TaskVocabulary("t5")
    bind(name="bytes")
    assert vocabulary.vocab_size == 259
    gin.clear_config()
    bind(name="sotu", extra_ids=28)
    assert (vocabulary.vocab_size, vocabulary.extra_ids) == (8220, 28)


@pytest.mark.parametrize("name", ["sotu", "bytes"])
def test_methods_are_those_of_the_chosen_vocabulary(name):
    vocabulary = TaskVocabulary(name)
    chosen = vocabulary.resolve()
    ids = vocabulary.encode(TEXT)
    assert isinstance(vocabulary, seqio.Vocabulary)
    assert list(ids) == list(chosen.encode(TEXT))
    assert vocabulary.encode_tf(tf.constant(TEXT)).numpy().tolist() == list(ids)
    assert vocabulary.decode(ids) == TEXT
    assert vocabulary.decode_tf(tf.constant(ids)).numpy().decode() == TEXT
    # Up through the first end token, and ids that no vocabulary has are unknown.
    assert vocabulary.decode([*ids, 1, *ids]) == chosen.decode([*ids, 1])
    assert vocabulary.decode([999_999]) == chosen.decode([999_999])
    assert (vocabulary.pad_id, vocabulary.eos_id, vocabulary.unk_id) == (0, 1, 2)


def test_the_vocabulary_sotu_is_lossless():
    vocabulary = TaskVocabulary("sotu")
    for text in (TEXT, " two  blanks ", "tab\tand\r\n", "Ω≈ç√ 中文", "\n\n\n"):
        ids = vocabulary.encode(text)
        assert vocabulary.decode(ids) == text
        assert vocabulary.unk_id not in ids
        assert vocabulary.encode_tf(tf.constant(text)).numpy().tolist() == ids


def test_t5s_vocabulary_from_a_local_copy(shared_data):
    bind(model_file=str(shared_data / "cc_all.32000.model"))
    vocabulary = TaskVocabulary("t5")
    assert vocabulary.vocab_size == 32100
    expected = [13959, 1566, 12, 2968, 10, 466, 19, 207, 5]
    text = "translate English to German: That is good."
    assert vocabulary.encode(text) == expected
    assert vocabulary.encode_tf(tf.constant(text)).numpy().tolist() == expected
    assert vocabulary.decode([32099]).strip() == "<extra_id_0>"


def test_copies_and_pickles_do_not_read_the_file():
    """gin copies parameter values; Beam pickles preprocessors."""
    bind(model_file="/nowhere/else.model")
    for vocabulary in (TaskVocabulary("t5"), TaskVocabulary("sotu")):
        for twin in (copy.deepcopy(vocabulary), pickle.loads(pickle.dumps(vocabulary))):
            assert twin == vocabulary


def test_equality_follows_the_settings():
    assert TaskVocabulary("sotu") != TaskVocabulary("bytes")
    assert TaskVocabulary("bytes") == seqio.ByteVocabulary()
    assert seqio.ByteVocabulary(extra_ids=3) != TaskVocabulary("bytes")
    assert TaskVocabulary("bytes") != "bytes"
    bind(name="bytes")
    assert TaskVocabulary("sotu") == TaskVocabulary("t5")
    assert len({TaskVocabulary("sotu"), TaskVocabulary("t5")}) == 1


def test_identity_tells_vocabularies_apart():
    own = TaskVocabulary("sotu").identity()
    assert TaskVocabulary("bytes").identity() == "bytes, 259 ids"
    bind(name="sentencepiece", model_file=task_vocabulary.SOTU_MODEL)
    assert TaskVocabulary("t5").identity() == own
    gin.clear_config()
    bind(extra_ids=1)
    assert TaskVocabulary("sotu").identity() != own


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"name": "byte"}, ["task_vocabulary.name is 'byte'", "bytes", "sentencepiece"]),
        ({"name": "sentencepiece"}, ["task_vocabulary.model_file is not set"]),
        ({"name": "bytes", "model_file": "x"}, ["reads no file"]),
        ({"model_file": "/nowhere/v.model"}, ["/nowhere/v.model", "does not exist", "'bytes'"]),
    ],
)
def test_invalid_settings_are_one_error_line(settings, words):
    bind(**settings)
    with pytest.raises(UsageError) as error:
        _ = TaskVocabulary("t5").vocab_size
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words), error.value


def test_t5_uses_it_as_the_vocabulary_of_the_run():
    from t5.models import mesh_transformer

    import primer.data.tasks  # noqa: F401

    bind(name="bytes")
    gin.bind_parameter("mesh_transformer.get_vocabulary.mixture_or_task_name", "sotu")
    inputs, targets = mesh_transformer.get_vocabulary()
    assert inputs == targets == seqio.ByteVocabulary()


def test_the_package_exports_the_class():
    assert vocabularies.TaskVocabulary is TaskVocabulary


def test_a_copy_is_read_for_every_object_of_the_same_choice(tmp_path):
    original, copied = tmp_path / "words.txt", tmp_path / "copy.txt"
    original.write_text("the 2\nof 1\n")
    copied.write_text("the 2\n")
    bind(name="words", model_file=str(original))
    vocabulary, other = TaskVocabulary("t5"), TaskVocabulary("sotu")
    with vocabulary.reading_copy(str(copied)):
        assert (vocabulary.vocab_size, other.vocab_size) == (4, 4)
        assert other.file() == ("vocabulary.txt", b"the 2\n")
        bind(name="bytes", model_file=None)
        assert other.vocab_size == 259
    bind(name="words", model_file=str(original))
    assert (vocabulary.vocab_size, other.vocab_size) == (5, 5)
