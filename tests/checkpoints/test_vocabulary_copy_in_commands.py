"""A trained model whose vocabulary file is then deleted, changed or replaced, in all commands."""

import json
import shutil

import pytest

import primer
from tests import tiny_text
from tests.command_lines import run


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return tiny_text.write(tmp_path_factory.mktemp("texts"))


def make(texts, target, *more):
    """Runs `primer data vocabulary` with the words of the texts."""
    words = ("data", "vocabulary", "--input", texts / "*.txt", "--model", "words")
    assert run(*words, "--output", target, *more) == 0


def train_words(texts, model_dir, steps, path, *more):
    names = (("name", "words"), ("model_file", str(path)))
    bindings = [f"task_vocabulary.{name} = {value!r}" for name, value in names]
    words = [word for binding in bindings for word in ("--gin_param", binding)]
    return tiny_text.train_words(texts, model_dir, "--steps", steps, *words, *more)


@pytest.fixture(scope="module")
def trained(texts):
    """The directory of a model of words, trained for a step; its vocabulary is then moved."""
    path, model_dir = texts / "words.vocabulary", texts / "trained"
    make(texts, path)
    assert run(*train_words(texts, model_dir, 1, path, "--eval_every", 1)) == 0
    assert (model_dir / "vocabulary.txt").read_bytes() == path.read_bytes()
    assert not list(model_dir.glob("*.part"))
    path.rename(texts / "moved.vocabulary")
    return model_dir


@pytest.fixture
def model_dir(trained, tmp_path):
    """A copy of it in another place."""
    return shutil.copytree(trained, tmp_path / "model")


def first_word(path):
    """The word with id 3."""
    return path.read_text().splitlines()[3].split()[0]


@pytest.mark.slow
def test_evaluation_and_generation_need_the_directory_alone(model_dir, texts):
    assert run("eval", "--model_dir", model_dir, "--checkpoints", "latest") == 0
    (path,) = (model_dir / "eval").glob("text_validation_*.jsonl")
    row = json.loads(path.read_text())
    # A document has 20 lines of 5 words, an end for each line, and one for itself.
    assert row["step"] == 1 and row["tokens"] > 0 and row["tokens"] % (20 * 6 + 1) == 0
    model = primer.load(model_dir)
    assert model.vocabulary.encode(first_word(texts / "moved.vocabulary")) == [3]
    (score,) = model.score(["7 times 8"])
    assert score.tokens == 4
    ((text,),) = model.generate(["7 times"], max_tokens=3, seed=1)
    assert isinstance(text, str)
    model.close()


@pytest.mark.slow
def test_the_best_checkpoint_has_its_own_copy(model_dir, texts):
    model = primer.load(model_dir / "best")
    assert model.vocabulary.encode(first_word(texts / "moved.vocabulary")) == [3]
    model.close()


@pytest.mark.slow
def test_training_resumes_with_the_copy_where_the_file_has_changed(model_dir, texts, capfd):
    path = texts / "words.vocabulary"
    path.write_text("7\t3\n8\t2\n")
    try:
        assert run(*train_words(texts, model_dir, 2, path)) == 0
    finally:
        path.unlink()
    said = capfd.readouterr().err
    assert f"{path} has changed since this model was trained" in said
    assert "resuming at step 1" in said
    kept = (model_dir / "vocabulary.txt").read_bytes()
    assert kept == (texts / "moved.vocabulary").read_bytes()


def test_another_vocabulary_is_one_clear_error(model_dir, texts, tmp_path, capfd):
    other = tmp_path / "other.vocabulary"
    make(texts, other, "--min_count", 40)
    capfd.readouterr()
    assert run(*train_words(texts, model_dir, 2, other)) == 2
    (line,) = [ln for ln in capfd.readouterr().err.splitlines() if ln.startswith("primer: ")]
    assert "was trained with another vocabulary than gin names" in line
    assert str(texts / "words.vocabulary") in line and str(other) in line
