"""docs/adding.md, followed to the letter in a copy of the project: nothing else is touched."""

import os
import re
import shutil
import subprocess
import sys
import textwrap

import pytest

from tests.paths import ROOT

BLOCK = re.compile(r"^( *)```\w+ (file|append)=(\S+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINES = ["The old pond is still", "A frog jumps into the pond", "The sound of water"] * 40


def steps():
    """(what to do, path, text) of every file that the page has one write."""
    page = (ROOT / "docs" / "adding.md").read_text()
    return [(how, path, textwrap.dedent(text)) for _, how, path, text in BLOCK.findall(page)]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the project in which the steps were followed."""
    folder = tmp_path_factory.mktemp("adding") / "project"
    folder.mkdir()
    for name in ("primer", "gin", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("t5_imports.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    for how, path, text in steps():
        with open(folder / path, "a" if how == "append" else "x", encoding="utf-8") as out:
            out.write(text)
    (folder / "haiku.train.txt").write_text("\n".join(LINES) + "\n")
    (folder / "haiku.val.txt").write_text("\n".join(LINES[:6]) + "\n")
    return folder


def run(folder, *words):
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def test_the_page_has_one_of_each_kind():
    paths = [path for _, path, _ in steps()]
    for kind in ("primer/layers/", "gin/architectures/", "gin/activations/", "gin/sizes/"):
        assert sum(path.startswith(kind) and "__init__" not in path for path in paths) == 1, kind
    assert [path for how, path, _ in steps() if how == "append"] == ["primer/layers/__init__.py"]
    assert {"haiku_task.py", "haiku.gin"} <= set(paths)


@pytest.mark.slow
def test_the_tests_of_every_architecture_find_the_new_one(copy):
    said = run(
        copy,
        "-m",
        "pytest",
        "-q",
        "-m",
        "slow or not slow",
        "-k",
        "average_transformer",
        "tests/layers/test_every_composition.py",
        "tests/gin/test_lint.py",
    )
    assert int(re.search(r"(\d+) passed", said)[1]) >= 10


def test_the_rules_of_gin_files_are_kept(copy):
    run(copy, "-m", "pytest", "-q", "tests/gin/test_lint.py")


@pytest.mark.slow
def test_the_new_parts_train_and_are_evaluated(copy):
    """The architecture with experts, the activation, the size and the task, all in one model."""
    new = ["--architecture=average_transformer", "--activation=geglu", "--size=micro"]
    run(
        copy,
        "-m",
        "primer.cli",
        "train",
        *new,
        "--task=./haiku.gin",
        "--model_dir=runs/haiku",
        "--steps=2",
        "--gin_file=architectures/switch.gin",
    )
    said = run(copy, "-m", "primer.cli", "eval", "--model_dir=runs/haiku")
    assert "validation" in said
    said = run(
        copy,
        "-m",
        "primer.cli",
        "generate",
        "--model_dir=runs/haiku",
        "--prompt=The old pond",
        "--max_tokens=3",
    )
    assert "The old pond" in said
