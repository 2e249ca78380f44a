"""Files are written whole or not at all; errors of reading name the path and a hint."""

import os

import pytest

from primer.common import files
from primer.errors import UsageError


def test_a_file_gets_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "numbers.txt"
    path.write_text("before")
    with files.written_whole(str(path)) as unfinished:
        with open(unfinished, "w") as out:
            out.write("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert os.listdir(tmp_path) == ["numbers.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_earlier_file_alone(tmp_path, error):
    path = tmp_path / "numbers.txt"
    path.write_text("before")
    with pytest.raises(error), files.written_whole(str(path)) as unfinished:
        with open(unfinished, "w") as out:
            out.write("half")
        raise error
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["numbers.txt"]


def test_text_and_bytes_are_written_as_they_are(tmp_path):
    for content in ("caf\u00e9\r\n", "caf\u00e9\r\n".encode()):
        files.write_whole(str(tmp_path / "out"), content)
        assert (tmp_path / "out").read_bytes() == "caf\u00e9\r\n".encode()


def test_output_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file/out cannot be written: "):
        files.write_output(str(tmp_path / "file" / "out"), b"")


def test_json_is_read_as_it_was_written(tmp_path):
    path = str(tmp_path / "record.json")
    assert files.read_json(path, "write it") is None
    files.write_json(path, {"b": [1], "a": None})
    assert files.read_json(path, "write it") == {"a": None, "b": [1]}


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe"])
def test_damaged_json_is_named_with_the_hint(tmp_path, content):
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="record.json cannot be read .*; write it again"):
        files.read_json(str(path), "write it again")


def test_a_hidden_name_is_in_the_same_folder():
    assert files.unfinished_path("/data/a/train.json") == "/data/a/.train.json.unfinished"
    assert files.unfinished_path("gs://bucket/x") == "gs://bucket/.x.unfinished"


def test_a_missing_file_is_named_with_setting_and_hint(tmp_path):
    assert files.read_obstacle(str(tmp_path)) is None
    files.require_readable(str(tmp_path), "--input", "name another")
    path = str(tmp_path / "none")
    assert files.read_obstacle(path) == "it does not exist"
    with pytest.raises(UsageError, match=f"--input {path} cannot be read .*exist.; name another"):
        files.require_readable(path, "--input", "name another")


@pytest.mark.parametrize(
    "error, expected",
    [
        (ValueError(" first\nsecond"), "first"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (OSError(28, "x" * 500), ("[Errno 28] " + "x" * 500)[:200]),
    ],
)
def test_an_error_is_shortened_to_its_first_line(error, expected):
    assert files.first_line(error) == expected


def test_the_stamp_changes_with_size_and_time(tmp_path):
    path = tmp_path / "text"
    stamps = set()
    for content, time in (("a", 1), ("ab", 1), ("ab", 2)):
        path.write_text(content)
        os.utime(path, ns=(time, time))
        stamps.add(files.stamp(str(path)))
    assert len(stamps) == 3
