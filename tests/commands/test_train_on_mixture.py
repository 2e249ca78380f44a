"""`primer train` on a mixture that gin describes, and `primer eval` of the model."""

import json
import re

import pytest

from tests import tiny_text
from tests.command_lines import run

MIXTURE = """
mixture.tasks = [("sotu", 1.0), ("text", 3.0)]
"""


def words(texts, model_dir, *more):
    arguments = list(tiny_text.train_words(texts, model_dir, *more))
    arguments[arguments.index("text")] = "mixture"
    return arguments


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tiny_text.write(tmp_path_factory.mktemp("texts"))
    with open(folder / "tiny.gin", "a") as tiny:
        tiny.write(MIXTURE)
    return folder


@pytest.mark.slow
def test_a_mixture_trains_and_is_evaluated_on_all_its_texts(texts, capfd):
    model_dir = texts / "model"
    assert run(*words(texts, model_dir, "--steps", 3)) == 0
    assert re.search(r"epoch sotu 1, text \d+ ", capfd.readouterr().err)
    assert (
        run("eval", "--model_dir", model_dir, "--checkpoints", "latest", "--batch_size", 256) == 0
    )
    capfd.readouterr()
    (path,) = (model_dir / "eval").glob("mixture_validation_*.jsonl")
    # The twelve addresses, and of thirty texts those that are held out.
    assert json.loads(path.read_text())["documents"] == 12 + 4


def test_a_bad_mixture_is_one_line(texts, tmp_path, capfd):
    bad = words(texts, tmp_path, "--gin_param", "mixture.tasks = [('sotu', -1.0)]")
    assert run(*bad) == 2
    *_, last = capfd.readouterr().err.splitlines()
    assert last.startswith("primer: mixture.tasks: the rate of 'sotu' = -1.0: expected a number")
    assert not list(tmp_path.glob("model.ckpt*"))
