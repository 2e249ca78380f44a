"""A run resumes at the saved position of the same input only, and says what differs."""

import json
import os
import shutil

import pytest

from primer.runtime.training import input_record
from tests import slow, tiny_text
from tests.command_lines import run
from tests.runtime import tiny

FROM_THE_START = "reading from the start"


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Texts of which some are read by Python functions, whose names a saved position holds."""
    folder = tiny_text.write(tmp_path_factory.mktemp("texts"))
    lines = (json.dumps({"text": f"line {n} of many lines"}) + "\n" for n in range(200))
    (folder / "lines.jsonl").write_text("".join(lines))
    return folder


def train(texts, model_dir, *more, both="/*.[tj]*"):
    """Trains on all texts; returns the weights of the last step."""
    glob = f"text_files.glob = '{texts}{both}'"
    words = tiny_text.train_words(texts, model_dir, "--gin_param", glob, *more)
    assert run(*words) == 0
    return tiny.variables(model_dir, more[more.index("--steps") + 1])


@pytest.fixture(scope="module")
def trained(texts, tmp_path_factory):
    """A model directory at step 6, trained with settings that do not concern the input."""
    model_dir = tmp_path_factory.mktemp("trained")
    train(texts, model_dir, "--steps", 6, "--eval_every", 3)
    return model_dir


@pytest.fixture
def model_dir(trained, tmp_path):
    """A copy of the directory."""
    return shutil.copytree(trained, tmp_path / "model")


def test_settings_that_do_not_concern_the_input_resume_bit_for_bit(
    texts, model_dir, tmp_path, capfd
):
    resumed = train(texts, model_dir, "--steps", 9, "--gin_param", "validation.every = None")
    assert FROM_THE_START not in capfd.readouterr().err
    tiny.assert_equal_variables(resumed, train(texts, tmp_path / "at once", "--steps", 9))


def test_other_texts_are_read_as_by_a_run_without_a_position(texts, model_dir, tmp_path, capfd):
    other = tmp_path / "other"
    other.mkdir()
    for path in texts.glob("*.txt"):
        (other / path.name).write_text(path.read_text().replace("times", "plus"))
    shutil.copy(texts / "tiny.gin", other)
    expected_dir = shutil.copytree(model_dir, tmp_path / "expected")
    for path in expected_dir.glob("input.ckpt-6*"):
        path.unlink()
    found = train(other, model_dir, "--steps", 9, both="/*.txt")
    message = capfd.readouterr().err
    glob = f"text_files.glob '{texts}/*.[tj]*' -> '{other}/*.txt'"
    assert f"The input is not that of step 6 ({glob}; " in message and FROM_THE_START in message
    tiny.assert_equal_variables(found, train(other, expected_dir, "--steps", 9, both="/*.txt"))


PIPELINES = [
    (("--gin_file", "objectives/chunks.gin"), "unsupervised.preprocessors [@"),
    (("--gin_param", "utils.run.batch_size = 2"), "batch: targets int32 [4, 32] -> int32 [2,"),
    (("--seed", 3), "run_seed.seed 0 -> 3"),
]


@pytest.mark.parametrize(
    "options, difference", slow.all_but(PIPELINES[:1], PIPELINES, lambda value: value[0][0])
)
def test_another_pipeline_trains_from_its_start(texts, model_dir, options, difference, capfd):
    train(texts, model_dir, "--steps", 7, *options)
    message = capfd.readouterr().err
    assert difference in message and FROM_THE_START in message


def test_a_changed_file_is_named(texts, model_dir, capfd):
    path = texts / "7.txt"
    before = os.stat(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    train(texts, model_dir, "--steps", 7)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert f"(text: {path} was changed): {FROM_THE_START}" in capfd.readouterr().err


def record(files=(), **changes):
    """The record of a pipeline of one task."""
    parts = {
        "tasks": {"sotu": {"split": "train", "files": input_record._describe_files(files)}},
        "settings": {"primer.text_files.unit": "'file'", "NAME": "1"},
        "shares": {},
        "files": {"number": 0, "bytes": 0, "each": {}},
        "batch": {"targets": "int32 [4, 32]"},
        "seed": 0,
        "operations": "ab",
    }
    return json.loads(json.dumps(parts | changes))


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, None),
        ({"settings": {"NAME": "1", "primer.new.setting": "5"}}, None),
        ({"settings": {"primer.text_files.unit": "'line'"}}, "text_files.unit 'file' -> 'line'"),
        ({"shares": {"sotu": 0.5}}, "share of sotu None -> 0.5"),
        ({"seed": 1}, "seed 0 -> 1"),
        ({"tasks": {}}, "tasks ['sotu'] -> []"),
        ({"operations": "cd", "seed": 2}, "seed 0 -> 2"),
    ],
)
def test_the_difference_is_named(changes, expected):
    assert input_record.difference(record(), record(**changes)) == expected


def test_other_operations_alone_are_a_difference():
    difference = input_record.difference(record(), record(operations="cd"))
    assert "operations of the input pipeline" in difference


def test_only_the_first_differences_are_listed():
    now = record(seed=1, shares={name: 1.0 for name in "abc"})
    assert input_record.difference(record(), now).endswith("share of c None -> 1.0; and 1 more")


def test_many_files_are_recorded_as_one_digest(tmp_path, monkeypatch):
    monkeypatch.setattr(input_record, "_MOST_FILES", 1)
    paths = [str(tmp_path / name) for name in "ab"]
    for path in paths:
        with open(path, "w") as file:
            file.write("text")
    before = record(paths)
    assert "each" not in before["tasks"]["sotu"]["files"]
    assert input_record.difference(before, record(paths)) is None
    with open(paths[1], "w") as file:
        file.write("other text")
    assert "sotu: the files' names" in input_record.difference(before, record(paths))
    assert input_record.difference(before, record(paths[:1])) == "sotu has 1 files and had 2"


def test_a_relative_path_is_another_file_in_another_folder(tmp_path, monkeypatch):
    records = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text("a")
        os.utime(tmp_path / name / "text", ns=(0, 0))
        monkeypatch.chdir(tmp_path / name)
        records.append(record(["text"]))
    expected = f"sotu: {tmp_path}/other/text is another file"
    assert input_record.difference(*records) == expected
