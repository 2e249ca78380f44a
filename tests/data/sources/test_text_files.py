"""The user's files: how they become documents, and which of them are held out."""

import json

import gin
import pytest

from primer.data.sources import readers, text_files, text_parts
from primer.errors import UsageError
from tests import slow
from tests.data.sources.text_task import bind, error_of, read, write


@pytest.fixture
def folder(tmp_path):
    """Nine documents in files of every kind."""
    write(tmp_path / "a.txt", "\ufeffthe first\r\n\r\ndocument")
    write(tmp_path / "b.txt.gz", "the second\ndocument\n")
    lines = [{"text": f"json {number} ☃\nnext", "n": number} for number in range(4)]
    write(tmp_path / "c.jsonl", "\n".join(map(json.dumps, lines[:2])) + "\n\n")
    write(tmp_path / "deep" / "d.jsonl.gz", "\n".join(map(json.dumps, lines[2:])))
    write(tmp_path / "deep" / "er" / "e.txt", "the third")
    write(tmp_path / "empty.txt", " \n\t\n")
    return tmp_path


WHOLE = ["the first\n\ndocument", "the second\ndocument\n", "the third"]


LINES = [f"json {number} ☃\nnext" for number in range(4)]


def test_every_kind_of_file_is_read(folder):
    bind(glob=str(folder / "**" / "*.*"), held_out=0.0)
    assert read() == WHOLE + LINES


def test_a_document_is_a_line_with_unit_line(folder):
    bind(glob=[str(folder / "*.txt"), str(folder / "*.txt.gz")], unit="line", held_out=0.0)
    assert read() == ["the first", "document", "the second", "document"]


def test_field_names_the_key_of_the_text(tmp_path):
    write(tmp_path / "x.jsonl", '{"body": "read", "text": "not read"}\n')
    bind(glob=str(tmp_path / "*.jsonl"), field="body", held_out=0.0)
    assert read() == ["read"]


def test_the_split_of_a_document_depends_on_its_text_only(tmp_path):
    texts = [f"document number {number}" for number in range(1000)]
    write(tmp_path / "one.txt", "\n".join(texts))
    bind(glob=str(tmp_path / "*.txt*"), unit="line", held_out=0.1)
    train, validation = read("train"), read("validation")
    assert sorted(train + validation) == sorted(texts)
    assert 70 < len(validation) < 130
    # The same texts in other files, in another order, twice: each stays where it was.
    write(tmp_path / "one.txt", "\n".join(reversed(texts)))
    write(tmp_path / "two.txt.gz", "\n".join(texts))
    assert sorted(read("validation")) == sorted(validation * 2)
    # It does not change with the machine or the release.
    assert validation[:3] == FIRST_HELD_OUT


FIRST_HELD_OUT = ["document number 7", "document number 25", "document number 27"]


def test_white_space_around_a_text_does_not_change_its_split(tmp_path):
    """A text is never trained on with its last line end and evaluated on without it."""
    for number in range(100):
        text = f"document number {number}"
        for name, variant in (("a", text), ("b", f"{text}\n"), ("c", f"\n \t{text} \r\n\x0c")):
            write(tmp_path / f"{number}{name}.txt", variant)
    bind(glob=str(tmp_path / "*.txt"), held_out=0.3)
    held_out, trained = read("validation"), read("train")
    texts = {text.strip() for text in held_out}
    assert len(held_out) == 3 * len(texts) and 10 < len(texts) < 60
    assert texts.isdisjoint(text.strip() for text in trained)
    found = text_parts.read_shard(0, 1, readers.SkipCounts())
    again = [text.decode() for split, text in found if split == "validation"]
    assert sorted(again) == sorted(held_out)


def test_a_larger_share_holds_out_more_of_the_same(tmp_path):
    write(tmp_path / "x.txt", "\n".join(f"text {number}" for number in range(300)))
    bind(glob=str(tmp_path / "x.txt"), unit="line", held_out=0.1)
    few = set(read("validation"))
    bind(held_out=0.5)
    assert few < set(read("validation"))


@pytest.mark.parametrize("suffix", slow.all_but(["txt"], ["txt", "jsonl"]))
def test_shuffling_follows_the_seed_and_the_epoch(tmp_path, chunks, suffix):
    for number in range(8):
        lines = [f"file {number} line {line}" for line in range(30)]
        if suffix == "jsonl":
            lines = [json.dumps({"text": line}) for line in lines]
        write(tmp_path / f"{number}.{suffix}", "\n".join(lines))
    bind(glob=str(tmp_path / "*"), unit="line", held_out=0.0)
    gin.bind_parameter("task_vocabulary.name", "bytes")

    def epochs(seed):
        return chunks("text", length=64, number=150, seed=seed, num_epochs=2)

    assert epochs(1) == epochs(1) != epochs(2)
    in_order = chunks("text", length=64, number=-1, shuffle=False)
    assert in_order == chunks("text", length=64, number=-1, shuffle=False)
    assert epochs(1)[: len(in_order)] != in_order


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.xz"])
def test_the_pipeline_continues_from_a_saved_position(tmp_path, suffix):
    """Read by TensorFlow, and in Python: what follows a saved position is what would have."""
    import tensorflow.compat.v1 as tf

    for number in range(4):
        lines = [json.dumps({"text": f"{number} {line}"}) for line in range(700)]
        write(tmp_path / f"{number}.{suffix}", "\n".join(lines))
    bind(glob=str(tmp_path / f"*.{suffix}"), held_out=0.2)

    def pipeline():
        iterator = tf.data.make_initializable_iterator(text_files.split_dataset("train"))
        saver = tf.train.Saver([tf.data.experimental.make_saveable_from_iterator(iterator, "warn")])
        return iterator, iterator.get_next()["text"], saver

    position = str(tmp_path / "position")
    with tf.Graph().as_default(), tf.Session() as session:
        iterator, following, saver = pipeline()
        session.run(iterator.initializer)
        for _ in range(900):
            session.run(following)
        saver.save(session, position)
        expected = [session.run(following) for _ in range(900)]
    text_files._open_readers.clear()
    with tf.Graph().as_default(), tf.Session() as session:
        iterator, following, saver = pipeline()
        session.run(iterator.initializer)
        saver.restore(session, position)
        assert [session.run(following) for _ in range(900)] == expected


def test_invalid_settings_are_refused(tmp_path):
    assert "text_files.glob is not set" in error_of()
    bind(glob=str(tmp_path / "*.txt"))
    assert "matches no file" in error_of()
    write(tmp_path / "x.txt", "text")
    bind(unit="page")
    assert "text_files.unit is 'page'" in error_of()
    bind(unit="file", held_out=1.0)
    assert "text_files.held_out is 1.0" in error_of()
    write(tmp_path / "x.pdf", "text")
    bind(held_out=0.0, glob=str(tmp_path / "*"))
    assert "x.pdf" in error_of() and ".jsonl.gz" in error_of()


def test_globs_are_expanded_once_and_sorted(tmp_path):
    for name in ("b.txt", "a.txt", "deep/c.txt"):
        write(tmp_path / name, "text")
    found = text_files.expand_glob([f"{tmp_path}/**/*.txt", f"{tmp_path}/a.*"], "x.glob")
    assert found == [str(tmp_path / name) for name in ("a.txt", "b.txt", "deep/c.txt")]
    with pytest.raises(UsageError, match="x.glob is .* and matches no file"):
        text_files.expand_glob(str(tmp_path / "*.gz"), "x.glob")
