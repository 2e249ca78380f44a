"""The user's own files: how they become documents, which are held out, and what is refused."""

import gzip
import json

import gin
import pytest

from primer.data import preflight, whole_documents
from primer.errors import UsageError
from tests import slow


def bind(**settings):
    for name, value in settings.items():
        gin.bind_parameter(f"text_files.{name}", value)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def read(split="train"):
    return [text for text, _ in whole_documents.documents("text", split)]


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


def test_a_line_may_be_a_document(folder):
    bind(glob=[str(folder / "*.txt"), str(folder / "*.txt.gz")], unit="line", held_out=0.0)
    assert read() == ["the first", "document", "the second", "document"]


def test_the_key_of_the_text_is_a_setting(tmp_path):
    write(tmp_path / "x.jsonl", '{"body": "read", "text": "not read"}\n')
    bind(glob=str(tmp_path / "*.jsonl"), field="body", held_out=0.0)
    assert read() == ["read"]


def test_a_share_is_held_out_by_the_text_alone(tmp_path):
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


def test_the_pipeline_continues_from_a_saved_position(tmp_path):
    """As a resumed run does: the batches after a restart are those that would have followed."""
    import tensorflow.compat.v1 as tf

    from primer.data.sources import text_files

    for number in range(6):
        lines = [json.dumps({"text": f"{number} {line}"}) for line in range(20)]
        write(tmp_path / f"{number}.jsonl", "\n".join(lines))
    bind(glob=str(tmp_path / "*.jsonl"), held_out=0.2)

    def pipeline():
        iterator = tf.data.make_initializable_iterator(text_files.split_dataset("train", True, 3))
        saver = tf.train.Saver([tf.data.experimental.make_saveable_from_iterator(iterator, "warn")])
        return iterator, iterator.get_next()["text"], saver

    with tf.Graph().as_default(), tf.Session() as session:
        iterator, following, saver = pipeline()
        session.run(iterator.initializer)
        for _ in range(30):
            session.run(following)
        saver.save(session, str(tmp_path / "position"))
        expected = [session.run(following) for _ in range(30)]
    with tf.Graph().as_default(), tf.Session() as session:
        iterator, following, saver = pipeline()
        session.run(iterator.initializer)
        saver.restore(session, str(tmp_path / "position"))
        assert [session.run(following) for _ in range(30)] == expected


def refused(split="train"):
    with pytest.raises(UsageError) as error:
        preflight.check("text", split)
    message = str(error.value)
    assert "\n" not in message
    # Reading says the same as checking, rather than something of TensorFlow's.
    with pytest.raises(UsageError, match="^" + message[:20].replace("(", r"\(")):
        read(split)
    return message


def test_settings_without_meaning_are_refused(tmp_path):
    assert "text_files.glob is not set" in refused()
    bind(glob=str(tmp_path / "*.txt"))
    assert "matches no file" in refused()
    write(tmp_path / "x.txt", "text")
    bind(unit="page")
    assert "text_files.unit is 'page'" in refused()
    bind(unit="file", held_out=1.0)
    assert "text_files.held_out is 1.0" in refused()
    write(tmp_path / "x.pdf", "text")
    bind(held_out=0.0, glob=str(tmp_path / "*"))
    assert "x.pdf" in refused() and ".jsonl.gz" in refused()


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("latin.txt", "fine\nfine\ncaf\xe9\n".encode("latin-1"), ["not UTF-8", "line 3", "0xe9"]),
        ("cut.txt", "fine\n☃".encode()[:-1], ["not UTF-8", "line 2"]),
        ("list.jsonl", b'{"text": "fine"}\n["text"]\n', ["line 2", "'text'"]),
        ("other.jsonl", b'{"body": "text"}', ["line 1", "text_files.field"]),
        ("broken.jsonl", b'{"text": "fine"}\n\n{"text": "cut', ["line 3"]),
        ("plain.txt.gz", b"not compressed", ["cannot be read"]),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    bind(glob=str(tmp_path / name), held_out=0.0)
    message = refused()
    assert all(word in message for word in [name, *words]), message


def test_a_broken_end_of_a_compressed_file_is_named(tmp_path):
    import random

    noise = random.Random(1)
    text = "".join(noise.choice("abcdefgh \n") for _ in range(10_000)).encode()
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(text)[:-200])
    bind(glob=str(tmp_path / "cut.txt.gz"))
    assert "cut.txt.gz cannot be read" in refused()


def test_a_split_without_a_document_is_refused(tmp_path):
    write(tmp_path / "only.txt", "one document")
    bind(glob=str(tmp_path / "only.txt"), held_out=0.0)
    assert "text_files.held_out" in refused("validation")
    preflight.check("text", "train")


def test_files_without_text_are_named(tmp_path):
    write(tmp_path / "a.txt", "")
    write(tmp_path / "b.txt", " \n\n")
    bind(glob=str(tmp_path / "*.txt"), held_out=0.0)
    message = refused()
    assert f"2 of the files have no text: {tmp_path}/a.txt, {tmp_path}/b.txt" in message
    write(tmp_path / "c.txt", "text")
    assert preflight.check("text", "train").startswith("2 of the files have no text: ")
