"""The bindings and the vocabulary copy that a prepared data set keeps for a run."""

import gin
import pytest
import seqio

from primer.data import preflight
from primer.data.prepared import run_settings
from primer.data.vocabularies import task_vocabulary


def record(folder, name):
    return run_settings.record_run_settings(str(folder), preflight.find_task(name))


def test_the_packages_vocabulary_is_a_name_without_a_copy(tmp_path):
    contents = record(tmp_path, "sotu")
    assert contents == {"bindings": {"task_vocabulary.name": "sotu"}, "vocabulary_file": None}
    assert not list(tmp_path.iterdir())
    assert run_settings.has_vocabulary_copy(str(tmp_path), contents)


def test_a_users_vocabulary_is_copied(tmp_path):
    with open(task_vocabulary.SOTU_MODEL, "rb") as file:
        model = file.read()
    (tmp_path / "my.model").write_bytes(model)
    gin.bind_parameter("task_vocabulary.name", "sentencepiece")
    gin.bind_parameter("task_vocabulary.model_file", str(tmp_path / "my.model"))
    gin.bind_parameter("task_vocabulary.extra_ids", 7)
    contents = record(tmp_path / "out", "sotu")
    assert contents["bindings"] == {
        "task_vocabulary.name": "sentencepiece",
        "task_vocabulary.extra_ids": 7,
    }
    copy = tmp_path / "out" / contents["vocabulary_file"]
    assert copy.read_bytes() == model
    assert run_settings.has_vocabulary_copy(str(tmp_path / "out"), contents)
    copy.unlink()
    assert not run_settings.has_vocabulary_copy(str(tmp_path / "out"), contents)


def test_the_bindings_of_texts_are_those_that_gin_has(tmp_path, monkeypatch):
    gin.bind_parameter("text_files.glob", "*.txt")
    gin.bind_parameter("text_files.unit", "line")
    (tmp_path / "a.txt").write_text("one\n")
    monkeypatch.chdir(tmp_path)
    bindings = record(tmp_path, "text")["bindings"]
    assert bindings.pop("text_files.glob") == [str(tmp_path / "*.txt")]
    assert bindings == {"task_vocabulary.name": "sotu", "text_files.unit": "line"}


def test_a_relative_folder_of_local_files_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gin.bind_parameter("local_data.folder", "papers")
    assert record(tmp_path, "enwik8")["bindings"] == {
        "task_vocabulary.name": "bytes",
        "local_data.folder": str(tmp_path / "papers"),
    }


@pytest.fixture
def task_of_another_package():
    seqio.TaskRegistry.add(
        "other",
        source=seqio.FunctionDataSource(lambda split, shuffle_files, seed=None: None, ["train"]),
        preprocessors=[],
        output_features={"targets": seqio.Feature(seqio.ByteVocabulary())},
    )
    yield "other"
    seqio.TaskRegistry.remove("other")


def test_a_task_of_another_package_keeps_nothing(task_of_another_package, tmp_path):
    contents = record(tmp_path, task_of_another_package)
    assert contents == {"bindings": {}, "vocabulary_file": None}
