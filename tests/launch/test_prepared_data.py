"""`primer train --data`: the task, the texts and the vocabulary of prepared data."""

import json
import os
import shutil

import pytest

from primer.errors import UsageError
from primer.launch import prepared_data
from tests import tiny_text
from tests.command_lines import run

# A comma divides the value of t5's flag, and the brackets are a pattern for seqio.
FOLDER = "prepared, in [2] shards"


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return tiny_text.write(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def words(texts):
    """A vocabulary of the words of the texts."""
    path = texts / "words.vocabulary"
    made = ("data", "vocabulary", "--input", texts / "*.txt", "--held_out", 0.2)
    assert run(*made, "--model", "words", "--output", path) == 0
    return path


@pytest.fixture(scope="module")
def prepared(texts, words):
    """The texts prepared with a vocabulary of words, whose own file is then moved away."""
    options = ("--held_out", 0.2, "--workers", 1, "--shards", 2, "--output", texts / FOLDER)
    vocabulary = (("name", "words"), ("model_file", str(words)))
    bindings = [f"--gin_param=task_vocabulary.{name} = {value!r}" for name, value in vocabulary]
    assert run("data", "prepare", "--input", texts / "*.txt", *options, *bindings) == 0
    words.rename(texts / "moved.vocabulary")
    return texts / FOLDER


def train(folder, model_dir, *more):
    size = ("d_model = 16", "num_layers = 1", "num_heads = 2", "d_kv = 8", "d_ff = 32")
    settings = (*size, "utils.run.batch_size = 4", "utils.run.save_checkpoints_steps = 2")
    settings += ("utils.run.sequence_length = {'inputs': 1, 'targets': 32}",)
    model = ("--architecture", "primer_ez", "--activation", "relu", "--size", "tiny")
    bindings = [f"--gin_param={setting}" for setting in settings]
    return run("train", "--data", folder, "--model_dir", model_dir, *model, *bindings, *more)


@pytest.mark.parametrize("place", [".", "text"])
def test_the_arguments_hold_all_settings_of_the_prepared_data(prepared, texts, place):
    task, arguments = prepared_data.task_and_arguments(str(prepared / place))
    assert task == "text"
    assert arguments == [
        f'--additional_task_cache_dirs="{prepared}"',
        "--gin_param=mesh_train_dataset_fn.use_cached = True",
        '--gin_param=task_vocabulary.name = "words"',
        f'--gin_param=text_files.glob = ["{texts}/*.txt"]',
        "--gin_param=text_files.held_out = 0.2",
        f'--gin_param=task_vocabulary.model_file = "{prepared}/text/vocabulary.txt"',
    ]


def test_training_uses_the_copied_vocabulary_and_evaluation_the_texts(prepared, texts, capfd):
    model_dir = texts / "model"
    assert train(prepared, model_dir, "--steps", 2) == 0
    said = capfd.readouterr().err
    assert "--gin_file=datasets/text.gin" in said and "--additional_task_cache_dirs=" in said
    kept = (model_dir / "vocabulary.txt").read_bytes()
    assert kept == (texts / "moved.vocabulary").read_bytes()
    assert run("eval", "--model_dir", model_dir, "--checkpoints", "latest") == 0
    row = json.loads((model_dir / "eval" / "text_validation_stream.jsonl").read_text())
    found = json.loads((prepared / "text" / "primer.json").read_text())["splits"]["validation"]
    assert (row["documents"], row["words"]) == (found["examples"], found["words"])
    for name in ("tokens", "bytes"):  # Where a document ends is a token, and counted as a byte.
        assert row[name] == found[name] + found["examples"]


@pytest.fixture
def edited(texts):
    """A text to which a line was added after the preparation."""
    path = texts / "0.txt"
    before, status = path.read_bytes(), path.stat()
    path.write_bytes(before + b"one line more\n")
    yield path
    path.write_bytes(before)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_texts_that_changed_since_are_refused_for_validation(prepared, texts, edited, capfd):
    assert train(prepared, texts / "other", "--steps", 2, "--eval_every", 1) == 2
    said = capfd.readouterr().err
    assert f"since task text was prepared: {edited} (" in said and "leave out --eval_every" in said


def test_a_lost_copy_of_the_vocabulary_is_written_again(prepared, texts, tmp_path, words):
    copy = shutil.copytree(prepared, tmp_path / "prepared")
    kept = copy / "text" / "vocabulary.txt"
    content = kept.read_bytes()
    kept.unlink()
    assert train(copy, tmp_path / "model", "--steps", 1) == 2
    again = ("data", "prepare", "--input", texts / "*.txt", "--held_out", 0.2, "--workers", 1)
    names = (("name", "words"), ("model_file", str(texts / "moved.vocabulary")))
    bindings = [f"--gin_param=task_vocabulary.{name} = {value!r}" for name, value in names]
    assert run(*again, "--shards", 2, "--output", copy, *bindings) == 0
    assert kept.read_bytes() == content


def manifest(folder, task="text", **changes):
    """Writes the manifest of a prepared data set, and no data."""
    data = {
        "settings": {"task": task, "format": "seqio", "vocabulary": "bytes, 259 ids"},
        "bindings": {"task_vocabulary.name": "bytes"},
        "vocabulary_file": None,
    }
    data["settings"] |= changes
    (folder / task).mkdir(parents=True)
    (folder / task / "primer.json").write_text(json.dumps(data))


def test_of_several_tasks_one_is_chosen_or_all_are_mixed(tmp_path):
    manifest(tmp_path)
    manifest(tmp_path, "sotu")
    with pytest.raises(UsageError, match="has several tasks: sotu, text; choose with --task"):
        prepared_data.task_and_arguments(str(tmp_path))
    assert prepared_data.task_and_arguments(str(tmp_path), "sotu")[0] == "sotu"
    task, arguments = prepared_data.task_and_arguments(str(tmp_path), "mixture")
    assert task == "mixture" and len(arguments) == 3
    manifest(tmp_path, "ptb", vocabulary="words 12ab, 10000 ids")
    with pytest.raises(UsageError, match="different vocabularies .*bytes.* and a mixture has one"):
        prepared_data.task_and_arguments(str(tmp_path), "mixture")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"bindings": {"import os\nd_model": 3}}, "binds 'import os"),
        ({"vocabulary_file": "../../etc/vocabulary.model"}, "names the file '../../etc/"),
        ({"settings": {"task": "/tmp/harm.gin", "format": "seqio"}}, "no name of a task"),
        ({"settings": {}}, "cannot be read"),
    ],
)
def test_a_manifest_sets_nothing_but_texts_and_vocabulary(tmp_path, changes, message):
    manifest(tmp_path)
    path = tmp_path / "text" / "primer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UsageError, match=message):
        prepared_data.task_and_arguments(str(tmp_path))


def test_data_that_training_cannot_read_are_one_line(tmp_path, capsys):
    manifest(tmp_path / "records", format="gpt_neo")
    manifest(tmp_path / "other")
    (tmp_path / "damaged" / "text").mkdir(parents=True)
    (tmp_path / "damaged" / "text" / "primer.json").write_text('{"settings"')
    for folder, more, message in (
        ("nowhere", [], "no prepared data there; `primer data prepare --output"),
        ("records", [], "--task gpt_neo_records"),
        ("other", ["--task", "sotu"], "has nothing of task 'sotu'; it has text"),
        ("damaged", [], "text/primer.json cannot be read"),
    ):
        assert train(tmp_path / folder, tmp_path / "model", *more) == 2
        error = capsys.readouterr().err
        assert error.startswith("primer: ") and len(error.splitlines()) == 1
        assert message in error
    assert not (tmp_path / "model").exists()
