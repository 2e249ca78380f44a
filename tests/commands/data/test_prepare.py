"""`primer data prepare`: its messages, what it leaves out, what it refuses."""

import json

import pytest

from primer.errors import UsageError
from tests.data import parsing


def test_the_vocabulary_of_t5(shared_data, tmp_path):
    model = shared_data / "cc_all.32000.model"
    (tmp_path / "a.txt").write_text("translate English to German: That is good.")
    words = ["--input", str(tmp_path / "a.txt"), "--held_out", "0", "--vocabulary", str(model)]
    assert (
        parsing.run("prepare", [*words, "--output", str(tmp_path / "out"), "--workers", "1"]) == 0
    )
    (ids,) = parsing.ids(tmp_path / "out" / "text", "train.tfrecord-*", "targets")
    assert ids.tolist() == [13959, 1566, 12, 2968, 10, 466, 19, 207, 5]


def test_the_command_counts_what_it_leaves_out(tmp_path, capsys):
    (tmp_path / "a.txt").write_bytes(b"fine\n\ncaf\xe9\n")
    words = ["--input", str(tmp_path / "*.txt"), "--unit", "line", "--vocabulary", "bytes"]
    words += ["--output", str(tmp_path / "out"), "--workers", "1", "--held_out", "0"]
    with pytest.raises(UsageError, match="a.txt is not UTF-8"):
        parsing.run("prepare", words)
    assert not (tmp_path / "out").exists()
    assert parsing.run("prepare", [*words, "--on_bad_utf8", "skip"]) == 0
    said = capsys.readouterr()
    assert "1 documents that are not UTF-8" in said.err and "a.txt (1)" in said.err
    assert "1 empty documents" in said.err
    assert json.loads((tmp_path / "out/text/stats.train.json").read_text())["examples"] == 1


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "--input GLOB or --task TASK"),
        (["--task", "sotu", "--normalize", "nfkc"], "--normalize nfkc goes with --input"),
        (["--task", "sotu", "--vocabulary", "/nowhere.model"], "--vocabulary /nowhere.model"),
        (["--task", "sotu", "--workers", "0"], "--workers = 0"),
        (["--input", "/nowhere/*.txt"], "matches no file"),
    ],
)
def test_invalid_options_are_refused(tmp_path, words, message):
    with pytest.raises(UsageError, match=message):
        parsing.run("prepare", [*words, "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_the_vocabulary_changes(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("under\u2581score\nunder score\n\u2581\n", encoding="utf-8")
    words = ["--input", str(tmp_path / "*.txt"), "--unit", "line", "--held_out", "0"]
    words += ["--output", str(tmp_path / "out"), "--workers", "1", "--shards", "2"]
    for _ in range(2):  # Also where it was prepared before.
        assert parsing.run("prepare", words) == 0
        said = capsys.readouterr().err
        assert "train split: The vocabulary does not give back 2 of 3 documents (16 bytes)" in said
    manifest = json.loads((tmp_path / "out/text/primer.json").read_text())
    assert manifest["changes"]["validation"]["documents"] == 0


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "vocabulary.model").write_text("mine")
    (tmp_path / "text" / "a.txt").write_text("one two")
    words = ["--input", str(tmp_path / "text" / "*.txt"), "--output", str(tmp_path)]
    with pytest.raises(UsageError, match="text has files that .*choose another --output"):
        parsing.run("prepare", [*words, "--held_out", "0", "--workers", "1"])
    assert (tmp_path / "text" / "vocabulary.model").read_text() == "mine"
