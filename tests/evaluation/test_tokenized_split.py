"""Reading and counting a split: documents, end tokens, bytes, characters and words."""

import gin
import numpy as np
import pytest
import seqio

import primer.data.tasks  # noqa: F401
from primer.errors import UsageError
from primer.evaluation import tokenized_split


def test_documents_get_one_end_token_each_and_are_counted_before_tokenization():
    made = tokenized_split.from_documents(
        [("One two\nthr\u00e9e", [5, 6, 7]), ("", []), ("a  b", [8])], 1
    )
    assert made.ids.tolist() == [5, 6, 7, 1, 1, 8, 1]
    assert made.lengths.tolist() == [4, 1, 2]
    assert made.bytes == len("One two\nthr\u00e9e".encode()) + 1 + 1 + 4 + 1
    assert made.words == 3 + 0 + 2


def test_the_checksum_tells_streams_apart():
    first = tokenized_split.from_documents([("a", [5, 6])], 1)
    assert first.checksum == tokenized_split.from_documents([("other text", [5, 6])], 1).checksum
    assert first.checksum != tokenized_split.from_documents([("a", [6, 5])], 1).checksum


def test_sotu_validation_is_read_whole():
    from primer.data.sources import sotu
    from primer.data.vocabularies.task_vocabulary import SOTU_MODEL

    made = tokenized_split.read_split("sotu", "validation")
    content = [open(path, encoding="utf-8").read() for path in sotu.paths("validation")]
    assert len(made.lengths) == 12 == np.sum(made.ids == 1)
    assert made.lengths.sum() == len(made.ids)
    assert made.words == sum(len(document.split()) for document in content)
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_file=SOTU_MODEL)
    assert len(made.ids) == sum(len(pieces.encode(document)) + 1 for document in content)


@pytest.mark.parametrize(
    "task, split, message", [("sotu", "dev", "no split 'dev'"), ("sotuu", "train", "sotuu")]
)
def test_an_unknown_split_or_task_is_one_clear_line(task, split, message):
    with pytest.raises(UsageError, match=message):
        tokenized_split.read_split(task, split)


def test_lines_count_their_ends_as_words_task_by_task(shared_data):
    """In a mixture of lines and documents too."""
    gin.bind_parameter("local_data.folder", str(shared_data))
    gin.bind_parameter("task_vocabulary.name", "bytes")
    gin.bind_parameter("mixture.tasks", [("wikitext2", 1.0), ("sotu", 1.0)])
    both = tokenized_split.read_split("mixture", "validation")
    names = [task.name for task in seqio.get_subtasks(seqio.get_mixture_or_task("mixture"))]
    assert sorted(names) == ["sotu", "wikitext2"]
    parts = [tokenized_split.read_split(name, "validation") for name in names]
    assert both.words == sum(part.words for part in parts)
    np.testing.assert_array_equal(both.ids, np.concatenate([part.ids for part in parts]))
    np.testing.assert_array_equal(both.ends, np.cumsum(both.lengths) - 1)


def test_an_empty_split_is_refused(tmp_path):
    (tmp_path / "own.txt").write_text("")
    gin.bind_parameter("text_files.glob", str(tmp_path / "own.txt"))
    gin.bind_parameter("task_vocabulary.name", "bytes")
    with pytest.raises(UsageError):
        tokenized_split.read_split("text", "train")


def test_what_the_vocabulary_changes_is_counted_and_said(tmp_path, capfd):
    for name, text in (("a", "under\u2581score"), ("b", "plain")):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    gin.bind_parameter("text_files.glob", str(tmp_path / "*.txt"))
    gin.bind_parameter("text_files.held_out", 0.0)
    found = tokenized_split.read_split("text", "train")
    assert (found.changes.documents, found.changes.changed, found.changes.changed_bytes) == (
        2,
        1,
        13,
    )
    assert found.bytes == len("under\u2581score".encode()) + len("plain") + 2
    assert "does not give back 1 of 2 documents" in capfd.readouterr().err
    gin.bind_parameter("task_vocabulary.name", "bytes")
    assert not tokenized_split.read_split("text", "train").changes.changed
    assert "give back" not in capfd.readouterr().err
