"""The copy of a vocabulary beside checkpoints is written, read, checked and replaced."""

import json

import gin
import pytest
import seqio
import tensorflow.compat.v1 as tf

from primer.checkpoints import model_directory, vocabulary_copy
from primer.checkpoints.description import model_description
from primer.data.vocabularies import task_vocabulary
from primer.data.vocabularies.task_vocabulary import TaskVocabulary
from primer.errors import UsageError
from tests.data.vocabularies import tokenizers_made


@pytest.fixture
def words(tmp_path):
    """The file of a vocabulary, chosen by gin."""
    path = tmp_path / "words.txt"
    path.write_text("the\t9\nof\t5\n")
    choose("words", path)
    return path


def choose(name, path=None):
    gin.bind_parameter("task_vocabulary.name", name)
    gin.bind_parameter("task_vocabulary.model_file", path and str(path))


@pytest.fixture
def model_dir(tmp_path):
    """An empty directory."""
    path = tmp_path / "model"
    path.mkdir()
    return path


def record(model_dir, vocabulary=None, copy=True, checkpoint=True):
    """Writes what training writes: the copy, the record and a checkpoint."""
    vocabulary = vocabulary or (TaskVocabulary("t5"), TaskVocabulary("t5"))
    kept = vocabulary_copy.save_copy(str(model_dir), vocabulary) if copy else {}
    now = {"wiring": {}, "vocabulary": model_description.describe_vocabulary(vocabulary), **kept}
    model_directory.write_record(str(model_dir), now)
    if checkpoint:
        with tf.Graph().as_default(), tf.Session() as session:
            saver = tf.train.Saver([tf.get_variable("v", initializer=1.0, use_resource=False)])
            session.run(tf.global_variables_initializer())
            saver.save(session, str(model_dir / "model.ckpt"), global_step=1)


def encoded(model_dir, text="the of"):
    """Returns the ids of a text by the vocabulary of a run in the directory."""
    vocabulary = TaskVocabulary("t5")
    with vocabulary_copy.use_copy(str(model_dir), (vocabulary, vocabulary)):
        return vocabulary.encode(text)


def refused(model_dir):
    with pytest.raises(UsageError) as error:
        encoded(model_dir)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_copy_replaces_a_deleted_file(words, model_dir, capfd):
    record(model_dir)
    copy = model_dir / "vocabulary.txt"
    assert copy.read_bytes() == words.read_bytes()
    words.unlink()
    assert encoded(model_dir) == [3, 4]
    assert "primer:" not in capfd.readouterr().err
    # Outside the context the file is read.
    with pytest.raises(UsageError, match="does not exist"):
        TaskVocabulary("t5").encode("the")


def test_the_copy_replaces_a_changed_file(words, model_dir, capfd):
    record(model_dir)
    words.write_text("of\t9\nthe\t5\n")
    assert encoded(model_dir) == [3, 4]
    assert f"{words} has changed since this model was trained" in capfd.readouterr().err
    assert TaskVocabulary("t5").encode("the of") == [4, 3]


def test_two_directories_read_their_own_copies(words, model_dir, tmp_path):
    """Both have the same setting; the file changes between them."""
    record(model_dir)
    words.write_text("of\t9\nthe\t5\n")
    other = tmp_path / "other"
    other.mkdir()
    record(other)
    words.unlink()
    assert (encoded(model_dir), encoded(other)) == ([3, 4], [4, 3])


@pytest.mark.parametrize(
    "name, file", [("sotu", None), ("sentencepiece", task_vocabulary.SOTU_MODEL)]
)
def test_a_sentencepiece_model_is_copied(model_dir, name, file):
    choose(name, file)
    record(model_dir)
    content = (model_dir / "vocabulary.model").read_bytes()
    with open(task_vocabulary.SOTU_MODEL, "rb") as model:
        assert content == model.read()
    kept = json.loads((model_dir / "primer.json").read_text())["vocabulary_copy"]
    # The path of an installed package differs between machines.
    assert kept["setting"] == {"name": name, "model_file": file, "extra_ids": 0}
    vocabulary = TaskVocabulary("t5")
    with vocabulary_copy.use_copy(str(model_dir), vocabulary):
        assert vocabulary.decode(vocabulary.encode("The Union")) == "The Union"
        path = vocabulary.resolve().sentencepiece_model_file
    assert path == str(model_dir / "vocabulary.model")


def test_another_vocabulary_is_refused(words, model_dir, tmp_path):
    record(model_dir)
    other = tmp_path / "other.txt"
    other.write_text("of\t9\nthe\t5\n")
    choose("words", other)
    message = refused(model_dir)
    assert "was trained with another vocabulary than gin names" in message
    assert all(text in message for text in (str(words), str(other), "config.gin"))
    choose("bytes")
    assert "'bytes' (bytes, 259 ids)" in refused(model_dir)


def test_the_same_vocabulary_at_another_path_is_accepted(words, model_dir, tmp_path):
    record(model_dir)
    choose("words", words.rename(tmp_path / "moved.txt"))
    assert encoded(model_dir) == [3, 4]


def test_a_damaged_copy_is_refused(words, model_dir, capfd):
    record(model_dir)
    copy = model_dir / "vocabulary.txt"
    copy.write_text("the\t9\n")
    assert f"{copy} is damaged" in refused(model_dir)
    copy.unlink()  # The hint of the message.
    assert encoded(model_dir) == [3, 4]
    assert f"{copy} is missing; the vocabulary is read from {words}" in capfd.readouterr().err
    words.write_text("of\t9\nthe\t5\n")
    assert "another vocabulary" in refused(model_dir)


def test_a_copy_outside_of_the_directory_is_refused(words, model_dir):
    record(model_dir)
    path = model_dir / "primer.json"
    written = json.loads(path.read_text())
    written["vocabulary_copy"]["file"] = "../words.txt"
    path.write_text(json.dumps(written))
    assert f"{path} names the file '../words.txt'" in refused(model_dir)


def test_the_next_training_restores_a_deleted_copy(words, model_dir):
    record(model_dir)
    (model_dir / "vocabulary.txt").unlink()
    record(model_dir)
    assert (model_dir / "vocabulary.txt").read_bytes() == words.read_bytes()
    assert not list(model_dir.glob("*.part"))


def test_a_directory_without_a_copy_reads_the_file(words, model_dir, capfd):
    record(model_dir, copy=False)
    assert encoded(model_dir) == [3, 4]
    words.write_text("of\t9\nthe\t5\n")
    assert "trained with another vocabulary" in refused(model_dir)


def test_without_checkpoints_the_vocabulary_may_change(words, model_dir, tmp_path):
    """A run that ended before its first checkpoint can restart with another vocabulary."""
    record(model_dir, checkpoint=False)
    words.write_text("of\t9\nthe\t5\n")
    assert encoded(model_dir) == encoded(tmp_path / "nowhere") == [4, 3]
    record(model_dir)
    assert (model_dir / "vocabulary.txt").read_bytes() == words.read_bytes()


def test_a_vocabulary_without_a_file_is_recorded_by_its_setting(model_dir):
    choose("bytes")
    record(model_dir)
    kept = json.loads((model_dir / "primer.json").read_text())["vocabulary_copy"]
    assert kept == {"setting": {"name": "bytes", "model_file": None, "extra_ids": 0}}
    assert not list(model_dir.glob("vocabulary*"))
    assert encoded(model_dir, "ab") == [100, 101]


def test_vocabularies_of_other_packages_are_not_copied(model_dir):
    record(model_dir, seqio.ByteVocabulary())
    assert "vocabulary_copy" not in json.loads((model_dir / "primer.json").read_text())
    with vocabulary_copy.use_copy(str(model_dir), seqio.ByteVocabulary()):
        pass
    with pytest.raises(UsageError, match="another vocabulary"):
        with vocabulary_copy.use_copy(str(model_dir), seqio.ByteVocabulary(extra_ids=5)):
            pass


def test_a_tokenizer_is_copied_with_its_end_token(model_dir, tmp_path, capfd):
    pytest.importorskip("tokenizers", reason="needs the extra huggingface")
    folder = tmp_path / "hf"
    folder.mkdir()
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(json.dumps(tokenizers_made.golden()["llama3"]["tokenizer"]))
    config = folder / "tokenizer_config.json"
    config.write_text('{"eos_token": "<|begin_of_text|>"}')
    choose("huggingface", folder)
    ids = TaskVocabulary("t5").encode("the union<|begin_of_text|>")
    assert ids[-1] == TaskVocabulary("t5").eos_id
    record(model_dir)
    assert encoded(model_dir, "the union<|begin_of_text|>") == ids
    assert "primer:" not in capfd.readouterr().err
    config.write_text('{"eos_token": "<|end_of_text|>"}')
    assert encoded(model_dir, "the union<|begin_of_text|>") == ids
    assert f"{folder} has changed since this model was trained" in capfd.readouterr().err
    for path in (config, tokenizer):
        path.unlink()
    assert encoded(model_dir, "the union<|begin_of_text|>") == ids
    folder.rmdir()
    assert encoded(model_dir, "the union<|begin_of_text|>") == ids
    gin.bind_parameter("huggingface_tokenizer.split_special_tokens", True)
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(json.dumps(tokenizers_made.golden()["llama3"]["tokenizer"]))
    choose("huggingface", tokenizer)
    assert "was trained with another vocabulary" in refused(model_dir)
