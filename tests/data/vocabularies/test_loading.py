"""Vocabularies are loaded once per file content, and files of another kind are refused."""

import gin
import pytest

from primer.common import files
from primer.data.vocabularies import TaskVocabulary, loading, task_vocabulary
from primer.data.vocabulary_training import sentencepiece_training
from primer.errors import UsageError

TEXTS = [f"{name} is a word of its own, and {name}s are many" for name in "abcdefghij" * 3]


def bind(**settings):
    for name, value in settings.items():
        gin.bind_parameter(f"task_vocabulary.{name}", value)


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("the 2\n")
    first = loading.open_vocabulary("words", str(path), 0)
    assert loading.open_vocabulary("words", str(path), 0) is first
    path.write_text("the 2\nof 1\n")
    second = loading.open_vocabulary("words", str(path), 0)
    assert (first.vocabulary.vocab_size, second.vocabulary.vocab_size) == (4, 5)
    assert second.content == b"the 2\nof 1\n"


def test_a_replaced_sentencepiece_model_is_read_again(tmp_path):
    """seqio itself would keep the model of the path."""
    path = tmp_path / "some.model"
    for size in (290, 298):
        path.write_bytes(sentencepiece_training.train(TEXTS, size))
        loaded = loading.open_vocabulary("sentencepiece", str(path), 5)
        assert loaded.vocabulary.vocab_size == size + 5


@pytest.mark.parametrize("name, ids", [("bytes", 259), ("characters", 30)])
def test_vocabularies_without_a_file_have_no_content(name, ids):
    loaded = loading.open_vocabulary(name, None, 2)
    assert (loaded.content, loaded.vocabulary.vocab_size) == (None, ids + 2)


def test_a_file_that_is_not_a_model_is_refused(tmp_path):
    path = tmp_path / "readme.model"
    path.write_text("not a model")
    bind(model_file=str(path))
    with pytest.raises(UsageError, match="is not a SentencePiece model") as error:
        TaskVocabulary("t5").resolve()
    assert "\n" not in str(error.value)


def test_a_model_with_other_special_ids_is_refused(tmp_path):
    import sentencepiece

    prefix = str(tmp_path / "other")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a few words of text", "and a few words more"]),
        model_prefix=prefix,
        vocab_size=30,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    bind(model_file=prefix + ".model")
    with pytest.raises(UsageError, match=r"expected \(0, 1\)"):
        TaskVocabulary("sotu").resolve()


def test_an_unreachable_bucket_is_one_error_line(monkeypatch):
    def refuse(*_, **__):
        raise OSError("Network is unreachable")

    for name in files._PROXIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(files.socket, "create_connection", refuse)
    files._bucket_obstacle.cache_clear()
    with pytest.raises(UsageError) as error:
        TaskVocabulary("t5").encode("text")
    files._bucket_obstacle.cache_clear()
    message = str(error.value)
    assert task_vocabulary.T5_MODEL in message and "Network is unreachable" in message
    assert "\n" not in message
