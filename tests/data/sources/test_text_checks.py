"""Checks of the user's files: errors name the file and line; remarks name what is left out."""

import gzip

import pytest

from primer.data import preflight
from primer.data.sources import availability, text_checks
from primer.errors import UsageError
from tests.data.sources.text_task import bind, error_of, write


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
def test_errors_name_the_file_and_the_line(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    bind(glob=str(tmp_path / name), held_out=0.0)
    message = error_of()
    assert all(word in message for word in [name, *words]), message


def test_error_names_a_truncated_gzip_file(tmp_path):
    import random

    noise = random.Random(1)
    text = "".join(noise.choice("abcdefgh \n") for _ in range(10_000)).encode()
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(text)[:-200])
    bind(glob=str(tmp_path / "cut.txt.gz"))
    assert "cut.txt.gz cannot be read" in error_of()


def test_a_split_without_a_document_is_refused(tmp_path):
    write(tmp_path / "only.txt", "one document")
    bind(glob=str(tmp_path / "only.txt"), held_out=0.0)
    assert "text_files.held_out" in error_of("validation")
    preflight.check_split("text", "train")


def test_files_without_text_are_named(tmp_path):
    write(tmp_path / "a.txt", "")
    write(tmp_path / "b.txt", " \n\n")
    bind(glob=str(tmp_path / "*.txt"), held_out=0.0)
    message = error_of()
    assert f"2 of the files have no text: {tmp_path}/a.txt, {tmp_path}/b.txt" in message
    write(tmp_path / "c.txt", "text")
    assert preflight.check_split("text", "train").startswith("2 of the files have no text: ")


def test_files_beyond_the_budget_are_checked_at_their_start(tmp_path, monkeypatch):
    monkeypatch.setattr(text_checks, "_CHECKED_BYTES", 10)
    monkeypatch.setattr(text_checks, "_CHUNK", 100)
    (tmp_path / "a.txt").write_bytes(b"x" * 200)
    (tmp_path / "b.txt").write_bytes(b"x" * 200 + b"\xff")
    bind(glob=str(tmp_path / "*.txt"), held_out=0.0)
    assert text_checks.check_text_files("train") is None
    (tmp_path / "b.txt").write_bytes(b"\xff" + b"x" * 200)
    with pytest.raises(UsageError, match="b.txt is not UTF-8 .*byte 0xff"):
        text_checks.check_text_files("train")


def test_skipped_documents_are_counted_for_the_first_files():
    counts = {f"{name}.txt": 1000 for name in "dcba"}
    assert text_checks.describe_skipped(counts) == (
        "4,000 documents that are not UTF-8: a.txt (1,000), b.txt (1,000), c.txt (1,000) "
        "and 1 more files"
    )


def test_availability_is_that_of_the_globs(tmp_path):
    assert text_checks.describe_availability().state == "missing"
    bind(glob=[str(tmp_path / "*.txt"), "gs://bucket/*.txt"])
    assert text_checks.describe_availability().state == "not looked at"
    (tmp_path / "a.txt").write_text("text")
    bind(glob=str(tmp_path / "*.txt"))
    here = availability.Availability("here", str(tmp_path / "*.txt"), 4)
    assert text_checks.describe_availability() == here
