"""Runs and texts whose names look like patterns, are relative to a folder, or were moved."""

import json
import shutil

import pytest

from tests import tiny_text
from tests.command_lines import run


def tree(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def place(small_run, small_texts, tmp_path, monkeypatch):
    """A folder with a run `s[3]` of texts `t[1]`, each beside a neighbour that it matches."""
    monkeypatch.chdir(tmp_path)
    for name in ("s[3]", "s3"):
        shutil.copytree(small_run, name)
    for name in ("t[1]", "t1"):
        shutil.copytree(small_texts, name, ignore=shutil.ignore_patterns("model"))
    (tmp_path / "t1" / "0.txt").write_text("of the neighbour " * 50)
    return tmp_path


def test_only_what_has_exactly_this_name_is_read_and_written(place, monkeypatch, capfd):
    neighbour = tree(place / "s3")
    settings = ("text_files.glob = 't[1]/*.txt'", "utils.run.keep_checkpoint_max = 2")
    bindings = (f"--gin_param={setting}" for setting in settings)
    words = tiny_text.train_words(place / "t[1]", "s[3]", "--steps", 7, "--seed", 5, *bindings)
    assert run(*words) == 0
    assert "Trained to step 7" in capfd.readouterr().err
    assert tree(place / "s3") == neighbour
    steps = sorted(path.name for path in (place / "s[3]").glob("model.ckpt-*.index"))
    assert steps == ["model.ckpt-6.index", "model.ckpt-7.index"]
    assert f"'{place}/t[1]/*.txt'" in (place / "s[3]/config.gin").read_text()

    # Moved, and evaluated from elsewhere: its own best, on the texts that it was trained on.
    shutil.move(place / "s[3]", place / "moved[1]")
    (place / "empty").mkdir()
    monkeypatch.chdir(place / "empty")
    assert run("eval", "--model_dir", place / "moved[1]", "--checkpoints", "best") == 0
    (path,) = (place / "moved[1]/eval").glob("*.jsonl")
    (row,) = map(json.loads, path.read_text().splitlines())
    best = json.loads((place / "moved[1]/best/best.json").read_text())
    assert row["step"] == best["step"] and row["nats"] == pytest.approx(best["nats"], rel=1e-5)

    # Texts that were edited since.
    assert "texts have changed" not in capfd.readouterr().err
    (place / "t[1]" / "0.txt").write_text("of another training " * 50)
    assert run("eval", "--model_dir", place / "moved[1]", "--checkpoints", "best") == 0
    assert f"trained on them: {place}/t[1]/0.txt (" in capfd.readouterr().err

    # A file that exists is no pattern.
    (place / "notes [draft].txt").write_text("a draft")
    (place / "notes d.txt").write_text("matched as a pattern")
    capfd.readouterr()
    assert run("score", "--model_dir", place / "moved[1]", place / "notes [draft].txt") == 0
    (line,) = capfd.readouterr().out.splitlines()
    assert json.loads(line)["source"] == str(place / "notes [draft].txt")
