"""A model directory that was written before the modules moved evaluates, generates and resumes.

golden/model_directory/model.tar.xz is Primer-EZ after six steps on the texts of `tiny_text`. Its
config.gin imports modules by the names that they had then.
"""

import json
import os
import tarfile

import pytest

from tests import tiny_text
from tests.command_lines import run
from tests.paths import GOLDEN
from tests.runtime.tiny import scalars

ARCHIVE = GOLDEN / "model_directory" / "model.tar.xz"
# What the code that wrote it found.
NATS_PER_TOKEN = {3: 5.444036059251568, 6: 5.028776043693491}
LOSSES = {7: 5.308941841125488, 12: 4.613668918609619}
SAMPLE = "4%mEh"


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    return tiny_text.write(folder)


@pytest.fixture
def model_dir(tmp_path, texts):
    """The directory, with the folder of the texts in its settings."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    path = tmp_path / "model" / "config.gin"
    path.write_text(path.read_text().replace("/data/", f"{texts}{os.sep}"))
    return path.parent


def test_it_evaluates(model_dir):
    assert run("eval", "--model_dir", model_dir, "--checkpoints", "3,6") == 0
    (path,) = model_dir.glob("eval/*.jsonl")
    rows = map(json.loads, path.read_text().splitlines())
    found = {row["step"]: row["nats_per_token"] for row in rows}
    assert found == pytest.approx(NATS_PER_TOKEN, rel=1e-6)


def test_it_generates(model_dir, capfd):
    prompt = ("--prompt", "7 times", "--max_tokens", "12", "--seed", "3", "--json")
    assert run("generate", "--model_dir", model_dir, *prompt) == 0
    assert json.loads(capfd.readouterr().out)["text"] == SAMPLE


def test_it_resumes(model_dir, texts):
    precision = ("--gin_param", 'precision.activation_dtype = "float32"')
    words = tiny_text.train_words(texts, model_dir, "--steps", "12", *precision)
    assert run(*words) == 0
    losses = scalars(model_dir)["loss"]
    assert {step: losses[step] for step in LOSSES} == pytest.approx(LOSSES, rel=1e-6)
