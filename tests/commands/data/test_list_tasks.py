"""`primer data list`: which data are on this machine, and how to get the others."""

import argparse
import io
import json
import socket

import pytest
import seqio

from primer.commands.data import list_tasks
from primer.data import tasks
from primer.data.sources import local_files, sotu
from primer.errors import UsageError
from tests.data import fabricate


def run(*words):
    parser = argparse.ArgumentParser()
    list_tasks.add_arguments(parser)
    return list_tasks.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def listed(capsys, monkeypatch, tmp_path):
    """A function (words) that returns the JSON object; any use of the network fails."""

    def never(*arguments, **options):
        raise AssertionError("used the network")

    monkeypatch.setattr(socket.socket, "connect", never)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    monkeypatch.delenv(local_files.DATA_DIR_VARIABLE, raising=False)

    def read(*words):
        assert run(*words, "--t5_tfds_data_dir", tmp_path, "--json") == 0
        return json.loads(capsys.readouterr().out)

    return read


def test_every_task_is_listed_with_how_to_get_its_data(listed):
    rows = listed()
    assert list(rows)[: len(tasks.NAMES)] == list(tasks.NAMES)
    assert rows["sotu"]["state"] == "here"
    assert rows["sotu"]["bytes"] == sum(f.stat().st_size for f in sotu.folder().glob("*.txt"))
    made = {"synthetic", *tasks.PROBES}
    assert all(rows[name]["state"] == "here" and rows[name]["bytes"] == 0 for name in made)
    for name in set(tasks.NAMES) - {"sotu", *made}:
        assert rows[name]["state"] == "missing" and rows[name]["way_out"], name
    assert "enwik8.zip" in rows["enwik8"]["way_out"]
    assert "download_and_prepare" in rows["pg19_autoregressive_language_modeling"]["way_out"]
    assert "text_files.glob" in rows["text"]["way_out"]


def test_the_size_of_local_data_is_listed(listed, tmp_path):
    fabricate.fabricate(tmp_path, fabricate.C4)
    folder = tmp_path / "local"
    (folder / "wikitext-2").mkdir(parents=True)
    (folder / "wikitext-2" / "wiki.valid.tokens").write_text(" \n = A = \n")
    (folder / "text8").write_text("some words")
    (folder / "mine.txt").write_text("a document")
    rows = listed(
        "--gin_param", f"local_data.folder = '{folder}'",
        "--gin_param", f"text_files.glob = '{folder}/*.txt'",
    )  # fmt: skip
    c4 = rows["c4_v220_autoregressive_language_modeling"]
    files = list((tmp_path / "c4/en/3.0.1").glob("*tfrecord*"))
    assert c4["state"] == "here" and c4["bytes"] == sum(f.stat().st_size for f in files)
    assert rows["text8"] == {
        "splits": ["train", "validation", "test"],
        "state": "here",
        "place": str(folder),
        "bytes": 10,
        "way_out": "",
    }
    assert (rows["wikitext2"]["state"], rows["wikitext2"]["bytes"]) == ("in part", 10)
    assert (rows["text"]["state"], rows["text"]["bytes"]) == ("here", 10)
    files[0].unlink()
    assert listed()["c4_v220_autoregressive_language_modeling"]["state"] == "in part"


def test_the_folder_of_the_environment_is_searched(listed, monkeypatch, tmp_path):
    (tmp_path / "enwik8").write_bytes(b"some bytes")
    monkeypatch.setenv(local_files.DATA_DIR_VARIABLE, str(tmp_path))
    assert listed()["enwik8"]["state"] == "here"


def test_a_bucket_is_not_looked_at(listed):
    rows = listed("--gin_param", "local_data.folder = 'gs://somewhere/data'")
    assert rows["ptb"]["state"] == "not looked at" and rows["ptb"]["place"].startswith("gs://")


@pytest.fixture
def another():
    """A task of another package, whose source does not describe its files."""
    source = seqio.FunctionDataSource(lambda split, shuffle_files: None, splits=["train"])
    seqio.TaskRegistry.add("another", source, preprocessors=[], output_features={}, metric_fns=[])
    yield "another"
    seqio.TaskRegistry.remove("another")


def test_tasks_of_other_packages_are_listed(listed, another):
    assert listed()[another] == {
        "splits": ["train"], "state": "unknown", "place": "", "bytes": 0, "way_out": ""
    }  # fmt: skip


def test_the_table_shows_whole_addresses():
    row = {"task": "x", "state": "missing", "bytes": 1_234_567, "place": "/a [b]"}
    out = io.StringIO()
    list_tasks.show_table([row | {"hint": "https://example.org/" + "long/" * 30}], out)
    text = "".join(out.getvalue().split())
    assert "https://example.org/" + "long/" * 30 in text and "1.2MB" in text and "[b]" in text


def test_sizes_are_readable():
    sizes = [list_tasks.format_size(number) for number in (0, 999, 12_190_373, 10**9, 5 * 10**15)]
    assert sizes == ["", "999 bytes", "12.2 MB", "1.0 GB", "5000.0 TB"]


def test_errors_are_one_line(tmp_path):
    with pytest.raises(UsageError, match="--module_import=no_such_module"):
        run("--module_import", "no_such_module")
    with pytest.raises(UsageError) as error:
        run("--gin_param", "local_data.flder = 'x'")
    assert "\n" not in str(error.value) and "flder" in str(error.value)
