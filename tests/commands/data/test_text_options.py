"""Options that choose texts: the task, gin's settings of it, and errors in the user's words."""

import argparse
import os

import gin
import pytest
import seqio

from primer.commands.data import text_options
from primer.data import tasks  # noqa: F401  Registers the tasks.
from primer.errors import UsageError


def parse(*words):
    parser = argparse.ArgumentParser()
    text_options.add_arguments(parser)
    text_options.add_vocabulary_argument(parser)
    return parser.parse_args(list(map(str, words)))


def test_input_options_set_the_task_text(tmp_path):
    words = ["--input", "a.txt", "b.txt", "--input", "c.txt", "--unit", "line", "--held_out", "0.2"]
    c4 = seqio.TaskRegistry.get("c4_v220_autoregressive_language_modeling").source
    default = c4.directory()
    with text_options.configured_task(parse(*words, "--t5_tfds_data_dir", tmp_path)) as task:
        assert task == "text"
        names = ["a.txt", "b.txt", "c.txt"]
        assert gin.query_parameter("text_files.glob") == list(map(os.path.abspath, names))
        assert gin.query_parameter("text_files.unit") == "line"
        assert gin.query_parameter("text_files.held_out") == 0.2
        with pytest.raises(ValueError):
            gin.query_parameter("text_files.field")
        assert c4.directory() == f"{tmp_path}/c4/en/3.0.1"
    with pytest.raises(ValueError):
        gin.query_parameter("text_files.glob")
    assert c4.directory() == default


def test_bindings_come_after_files_and_options_after_bindings(tmp_path):
    bindings = ["text_files.unit = 'line'", "text_files.field = 'a'", "other.x = 1"]
    (tmp_path / "a.gin").write_text("\n".join(bindings))
    words = ["--task", "text", "--gin_file", tmp_path / "a.gin"]
    words += ["--gin_param", "text_files.field = 'b'", "--gin_param", "text_files.normalize = None"]
    with text_options.configured_task(parse(*words, "--normalize", "nfkc")):
        assert gin.query_parameter("text_files.unit") == "line"
        assert gin.query_parameter("text_files.field") == "b"
        assert gin.query_parameter("text_files.normalize") == "nfkc"


@pytest.mark.parametrize(
    "name, task",
    [
        ("sotu", "sotu"),
        ("lm1b", "lm1b_autoregressive_language_modeling"),
        ("unknown", "unknown"),  # The commands report it, with a suggestion.
    ],
)
def test_names_of_dataset_files_stand_for_their_tasks(name, task):
    with text_options.configured_task(parse("--task", name)) as chosen:
        assert chosen == task


def test_the_vocabulary_is_a_name_or_a_file(tmp_path):
    path = tmp_path / "some.model"
    path.write_bytes(b"")
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text("{}")
    for word, expected in (
        ("bytes", ("bytes", None)),
        (path, ("sentencepiece", str(path))),
        (tokenizer, ("huggingface", str(tokenizer))),
        (tmp_path, ("huggingface", str(tmp_path))),
    ):
        options = parse("--task", "sotu", "--vocabulary", word)
        with text_options.configured_task_and_vocabulary(options):
            assert gin.query_parameter("task_vocabulary.name") == expected[0]
            if expected[1]:
                assert gin.query_parameter("task_vocabulary.model_file") == expected[1]
    options = parse("--task", "sotu", "--vocabulary", tmp_path / "none.model")
    with (
        pytest.raises(UsageError, match=r"none.model: there is no such file; .* t5, sotu, "),
        text_options.configured_task_and_vocabulary(options),
    ):
        pass


def test_errors_call_settings_by_their_options():
    message = "text_files.unit = 'line', or text_files.held_out; text_files.max_document_bytes"
    for words, expected in (
        (["--input", "x"], "--unit line, or --held_out; text_files.max_document_bytes"),
        (["--task", "text"], message),
    ):
        with pytest.raises(UsageError) as error, text_options.configured_task(parse(*words)):
            raise UsageError(message)
        assert str(error.value) == expected


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "give --input GLOB or --task TASK, one of them"),
        (["--input", "x", "--task", "text"], "one of them"),
        (["--task", "sotu", "--unit", "line"], "--unit line goes with --input"),
        (["--task", "sotu", "--module_import", "no_such"], "--module_import=no_such"),
        (["--task", "sotu", "--gin_param", "text_files.glub = 1"], "glub"),
    ],
)
def test_invalid_options_are_refused(words, message):
    with pytest.raises(UsageError, match=message), text_options.configured_task(parse(*words)):
        pass


def test_t5_imports_is_imported_for_gin_files():
    assert text_options.modules_to_import(parse("--module_import", "mine")) == ["mine"]
    options = parse("--gin_file", "a.gin", "--module_import", "mine")
    assert text_options.modules_to_import(options) == ["t5_imports", "mine"]
