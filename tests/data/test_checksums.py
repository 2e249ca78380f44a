"""Checksums of the data that a run reads: which files, reuse, large data, changes."""

import hashlib
import json
import os

import pytest
import seqio

from primer.data import (
    checksums,
    preflight,  # noqa: F401  Registers the tasks.
    text_stamps,
)
from primer.errors import UsageError


def record(folder, task="text"):
    """Records the data of a task as a run in a folder does; returns the checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "texts.json"
    tasks = [seqio.TaskRegistry.get(task)]
    text_stamps.say_changes(str(path), tasks)
    text_stamps.record(str(path), tasks, use_cached=False)
    return json.loads(path.read_text())[checksums.KEY] if path.exists() else None


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_each_file_is_read_once_for_all_runs_of_a_folder(two_texts, monkeypatch):
    found = record(two_texts / "runs" / "seed=1")
    a, b = (str(two_texts / f"{name}.txt") for name in "ab")
    assert found["files"][a][2] == digest("a first\n") and found["bytes_of_ends"] is None
    assert found["data"] == digest("\n".join(sorted(found["files"][p][2] for p in (a, b))))
    monkeypatch.setattr(checksums, "_checksum", lambda *arguments: pytest.fail("read again"))
    assert record(two_texts / "runs" / "seed=1") == record(two_texts / "runs" / "seed=2") == found


def test_a_change_is_said_and_kept_and_a_touch_is_not(two_texts, capfd):
    before = record(two_texts / "run")
    os.utime(two_texts / "a.txt", ns=(1, 1))
    assert record(two_texts / "run")["data"] == before["data"] and capfd.readouterr().err == ""
    (two_texts / "a.txt").write_text("a FIRST\n")
    os.utime(two_texts / "a.txt", ns=(2, 2))
    after = record(two_texts / "run")
    assert "a.txt (written again); documents that" in capfd.readouterr().err
    assert after["data"] == before["data"]  # Of the first session.
    assert after["changed_later"] == [str(two_texts / "a.txt")]
    assert record(two_texts / "other")["data"] != before["data"]


def test_names_and_order_do_not_matter(two_texts):
    before = record(two_texts / "runs" / "one")
    os.rename(two_texts / "a.txt", two_texts / "z.txt")
    assert record(two_texts / "runs" / "two")["data"] == before["data"]


def test_large_data_are_known_by_their_ends(two_texts, monkeypatch):
    (two_texts / "a.txt").write_text("0123456789" * 10)
    monkeypatch.setattr(checksums, "LIMIT", 40)
    found = record(two_texts / "run")
    assert found["bytes_of_ends"] == 10
    assert found["files"][str(two_texts / "a.txt")][2] == digest("100\n" + "0123456789" * 2)
    assert found["files"][str(two_texts / "b.txt")][2] == digest(
        "b first\n"
    )  # Not longer than that.


def test_other_data_have_checksums_too(tmp_path, capfd):
    found = record(tmp_path / "run", "sotu")
    assert len(found["files"]) == 224 and len(found["data"]) == 64
    assert not record(tmp_path / "synthetic", "synthetic")
    path = tmp_path / "run" / "texts.json"
    content = json.loads(path.read_text())
    first = next(iter(content[checksums.KEY]["files"].values()))
    first[1:] = [0, "ab"]
    path.write_text(json.dumps(content))
    record(tmp_path / "run", "sotu")
    said = capfd.readouterr().err
    assert f"data have changed since {tmp_path}/run was trained on them" in said


def test_prepared_data_and_tensorflow_datasets_are_known_by_their_files(tmp_path, monkeypatch):
    names = ["train.tfrecord-00000-of-00001", "validation.tfrecord-00000-of-00001", "primer.json"]
    for name in names:
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(checksums.cache_checks, "complete_directory", lambda task: str(tmp_path))
    task = seqio.TaskRegistry.get("sotu")
    assert checksums.files_of([task], use_cached=True) == [
        str(tmp_path / "primer.json"),
        str(tmp_path / names[0]),
    ]
    c4 = seqio.TaskRegistry.get("c4_v220_autoregressive_language_modeling")
    (path,) = checksums.files_of([c4], use_cached=False)
    assert path.endswith("c4/en/3.0.1/dataset_info.json")


def test_a_file_that_is_gone_is_one_message(tmp_path):
    with pytest.raises(UsageError, match="none.txt cannot be read: No such file"):
        checksums.describe([str(tmp_path / "none.txt")], {}, str(tmp_path / "run" / "texts.json"))
