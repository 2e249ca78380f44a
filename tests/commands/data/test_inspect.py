"""`primer data inspect`: its numbers against a direct count, its rows against the pipeline."""

import json

import numpy as np
import pytest

from primer.data import whole_documents
from primer.errors import UsageError
from tests.data import parsing


def inspect(tmp_path, *words):
    code = parsing.run("inspect", [*words, "--output", tmp_path / "out"])
    assert code == 0
    return json.loads((tmp_path / "out" / "inspect.json").read_text())


def test_the_numbers_are_those_of_a_direct_count(tmp_path, capsys):
    words = ["--task", "sotu", "--split", "validation", "--length", "64"]
    found = inspect(tmp_path, *words)
    documents = list(whole_documents.documents("sotu", "validation"))
    texts = [text for text, _ in documents]
    lengths = sorted(len(ids) for _, ids in documents)
    assert found["documents"] == len(texts) == 12
    assert found["bytes"] == sum(len(text.encode()) for text in texts)
    assert found["characters"] == sum(map(len, texts))
    assert found["words"] == sum(len(text.split()) for text in texts)
    assert found["tokens"] == sum(lengths) == 155_148
    assert (found["shortest"], found["longest"]) == (lengths[0], lengths[-1])
    assert lengths[4] < found["median"] < lengths[7]
    assert sum(part["documents"] for part in found["lengths"]) == 12
    for part in found["lengths"]:
        inside = [size for size in lengths if part["from"] <= size < part["to"]]
        assert part["documents"] == len(inside)
    said = capsys.readouterr().out
    assert "155,148" in said and "Row 3:" in said


def test_the_histogram_is_drawn(tmp_path):
    (tmp_path / "a.txt").write_text("one two three\n" * 3)
    inspect(tmp_path, "--input", tmp_path / "a.txt", "--held_out", "0", "--length", "4")
    from matplotlib import image

    pixels = image.imread(tmp_path / "out" / "lengths.png")
    assert pixels.shape[:2] == (480, 840)
    # A single bar leaves most of the picture white.
    assert 0.5 < (pixels[..., :3] == 1).all(-1).mean() < 0.95
    assert len(np.unique(pixels.reshape(-1, 4), axis=0)) > 10


def test_duplicates_and_skipped_documents_are_counted(tmp_path, capsys):
    (tmp_path / "a.txt").write_bytes(b"again\nagain\nonce\n\nagain\ncaf\xe9\n")
    words = ["--input", tmp_path / "a.txt", "--unit", "line", "--vocabulary", "bytes"]
    words += ["--held_out", "0", "--length", "8"]
    with pytest.raises(UsageError, match="a.txt is not UTF-8"):
        inspect(tmp_path, *words)
    found = inspect(tmp_path, *words, "--on_bad_utf8", "skip")
    assert (found["documents"], found["duplicates"], found["duplicate_bytes"]) == (4, 2, 10)
    assert found["empty"] == 1 and found["not_utf8"] == {str(tmp_path / "a.txt"): 1}
    assert found["tokens_per_byte"] == 1 and found["tokens"] == 19
    assert "a.txt (1)" in capsys.readouterr().err


def test_its_files_are_replaced_on_request_only(tmp_path):
    (tmp_path / "a.txt").write_text("one two three\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "inspect.json").write_text("mine")
    words = ["--input", tmp_path / "a.txt", "--held_out", "0", "--length", "4"]
    with pytest.raises(UsageError, match="inspect.json is there already.*--overwrite"):
        inspect(tmp_path, *words)
    assert (tmp_path / "out" / "inspect.json").read_text() == "mine"
    assert inspect(tmp_path, *words, "--overwrite")["documents"] == 1


def test_what_the_vocabulary_changes_and_duplicates_in_white_space_are_said(tmp_path, capsys):
    for name, text in (("a", "under\u2581score"), ("b", "twice"), ("c", "\ntwice \n")):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    words = ["--input", tmp_path / "*.txt", "--held_out", "0", "--length", "4"]
    found = inspect(tmp_path, *words)
    assert (found["changed_documents"], found["changed_bytes"], found["unknown_tokens"]) == (
        1,
        13,
        0,
    )
    assert (found["duplicates"], found["duplicate_bytes"]) == (1, 8)
    said = capsys.readouterr().err
    assert "train split: The vocabulary does not give back 1 of 3 documents" in said
    assert "'under\u2581score' becomes 'under score'" in said


def test_what_an_epoch_leaves_out_is_said(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("0123456789" * 20)
    words = ["--input", tmp_path / "a.txt", "--vocabulary", "bytes", "--held_out", "0"]
    words += ["--length", "8", "--examples", "0"]
    inspect(tmp_path, *words)
    said = "An epoch of training reads every token of these texts once."
    assert said in capsys.readouterr().err
    words += ["--gin_file", "objectives/lm.gin", "--overwrite"]
    words += ["--gin_param", "preprocessors.select_random_chunk.max_length = 50"]
    inspect(tmp_path, *words)
    said = "one piece of at most 50 tokens of each document in an epoch: 50 of 200 tokens (25.0%)"
    assert said in capsys.readouterr().err
