"""Files written whole or not at all, and JSON that says what is wrong with it."""

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
def test_nothing_is_left_of_a_failure(tmp_path, error):
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
