"""Texts that change after a training, or after they were prepared, are noticed."""

import json
import os

import gin
import pytest
import seqio

from primer.data import (
    preflight,  # noqa: F401  Registers the tasks.
    text_stamps,
)
from primer.errors import UsageError


@pytest.fixture
def task(two_texts):
    return seqio.TaskRegistry.get("text")


def rewrite(path, text):
    path.write_text(text)
    os.utime(path, ns=(1, 1))  # The clock of the file system may not have moved.


def test_an_edited_text_is_said_and_a_new_one_is_not(two_texts, task, capfd):
    record = str(two_texts / "texts.json")
    text_stamps.say_changes(record, [task])  # Nothing is recorded.
    assert capfd.readouterr().err == ""
    text_stamps.say_doubts(record, [task])  # The split rule of earlier versions was another.
    said = capfd.readouterr().err
    assert f"{two_texts} has no record of the texts that it was trained on" in said
    text_stamps.record(record, [task], use_cached=False)
    (two_texts / "c.txt").write_text("new")
    text_stamps.say_changes(record, [task])
    assert capfd.readouterr().err == ""
    rewrite(two_texts / "a.txt", "a second\n")
    text_stamps.record(record, [task], use_cached=False)  # A resumed run.
    text_stamps.say_changes(record, [task])
    said = capfd.readouterr().err
    assert f"{two_texts}/a.txt (8 -> 9 bytes); documents that it was trained on" in said
    assert "b.txt" not in said and "c.txt" not in said
    assert (
        len(json.loads((two_texts / "texts.json").read_text())) == 5
    )  # With the division and checksums.


def test_another_share_of_held_out_texts_is_said(two_texts, task, capfd):
    record = str(two_texts / "texts.json")
    text_stamps.record(record, [task], use_cached=False)
    text_stamps.say_doubts(record, [task])
    assert capfd.readouterr().err == ""
    gin.bind_parameter("text_files.held_out", 0.6)
    text_stamps.record(record, [task], use_cached=False)  # A resumed run keeps the first.
    text_stamps.say_doubts(record, [task])
    assert "text_files.held_out 0.05 -> 0.6; documents that it was" in capfd.readouterr().err


def test_prepared_data_of_edited_texts_are_refused(two_texts, task, monkeypatch, capfd):
    stamps = json.loads(json.dumps(text_stamps.stamps_of(task)))
    monkeypatch.setattr(text_stamps.cache_checks, "contents", lambda task: {"texts": stamps})
    text_stamps.require_unchanged(task)
    assert capfd.readouterr().err == ""
    rewrite(two_texts / "a.txt", "a FIRST\n")
    text_stamps.require_unchanged(task)
    assert "a.txt (written again); prepare it again" in capfd.readouterr().err
    rewrite(two_texts / "b.txt", "b second\n")
    with pytest.raises(UsageError, match=r"since task text was prepared: .*b.txt \(8 -> 9 bytes\)"):
        text_stamps.require_unchanged(task)


def test_a_task_of_other_data_has_no_texts(task):
    assert text_stamps.stamps_of(seqio.TaskRegistry.get("sotu")) == {}
