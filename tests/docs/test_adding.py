"""Applies the blocks of docs/adding.md to a copy of the project and runs the tests that it names.

The copy has no other changes, except for the records of `make golden`.
"""

import os
import re
import shutil
import subprocess
import sys
import textwrap

import pytest

from tests.paths import ROOT

BLOCK = re.compile(
    r'^( *)```\w+ (file|append|below)=(\S+)(?: line="(.*)")?\n(.*?)^\1```$',
    re.MULTILINE | re.DOTALL,
)
LINES = ["The old pond is still", "A frog jumps into the pond", "The sound of water"] * 40
# The composition to record; the copy keeps the other recorded runs.
NEW = "average_transformer"


def steps():
    """Returns (mode, path, line to insert below, text) of every block of the page."""
    page = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
    return [
        (how, path, line, textwrap.dedent(text) if how != "below" else text)
        for _, how, path, line, text in BLOCK.findall(page)
    ]


def follow(folder, how, path, line, text):
    """Applies a block of the page to the copy."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if how == "below":
        before = target.read_text(encoding="utf-8")
        assert before.count(f"\n{line}\n") == 1
        # Replaces the indentation of the page's list by that of the file.
        inserted = textwrap.indent(textwrap.dedent(text), "    ")
        text = before.replace(f"\n{line}\n", f"\n{line}\n{inserted}")
    with open(target, {"append": "a", "file": "x", "below": "w"}[how], encoding="utf-8") as out:
        out.write(text)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Returns a copy of the project with the blocks of the page applied."""
    folder = tmp_path_factory.mktemp("adding") / "project"
    folder.mkdir()
    for name in ("primer", "gin", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("t5_imports.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    for step in steps():
        follow(folder, *step)
    (folder / "haiku.train.txt").write_text("\n".join(LINES) + "\n")
    (folder / "haiku.val.txt").write_text("\n".join(LINES[:6]) + "\n")
    return folder


def run(folder, *words, **environment):
    """Runs Python in the copy, which must succeed; returns its output, standard error last."""
    environment = {"PYTHONPATH": str(folder), "CUDA_VISIBLE_DEVICES": "", **environment}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def run_tests(folder, *words, **environment):
    """Runs tests in the copy, including slow ones; returns how many passed."""
    said = run(folder, "-m", "pytest", "-q", "-m", "slow or not slow", *words, **environment)
    return int(re.search(r"(\d+) passed", said)[1])


def test_the_page_adds_every_kind_of_part():
    paths = [path for how, path, *_ in steps() if how == "file"]
    kinds = ["layers/", "optimizers/", "schedules/", "commands/"]
    folders = ["architectures", "activations", "sizes", "optimizers", "schedules"]
    for kind in [*(f"primer/{name}" for name in kinds), *(f"gin/{name}/" for name in folders)]:
        assert any(path.startswith(kind) for path in paths), kind
    assert {"haiku_task.py", "haiku.gin"} <= set(paths)
    others = {path for how, path, *_ in steps() if how != "file"}
    assert others == {
        "primer/layers/__init__.py",
        "primer/optimizers/__init__.py",
        "primer/schedules/__init__.py",
        "primer/cli.py",
        "gin/defaults.gin",
        "gin/architectures/transformer.gin",
    }


@pytest.mark.slow
def test_the_rules_of_rooms_and_gin_files_hold(copy):
    assert run_tests(
        copy,
        "tests/gin/test_lint.py",
        "tests/layers/test_registration.py",
        "tests/test_import_arrows.py",
    )


@pytest.mark.slow
def test_the_command_runs(copy):
    said = run(copy, "-m", "primer.cli", "activations", "--gated")
    assert "\nglu sigmoid linear" in said and "squared_relu" not in said
    assert "list the activations" in run(copy, "-m", "primer.cli", "--help")


RECORDED = ["tests/test_recorded_runs.py", "tests/gin/test_wiring.py"]


@pytest.fixture(scope="module")
def recorded(copy):
    """The copy after the part of `make golden` that the new architecture needs."""
    run_tests(copy, "-k", NEW, *RECORDED, PRIMER_WRITE_GOLDEN="1")
    assert (copy / "tests" / "gin" / "golden" / f"{NEW}.json").exists()
    assert (copy / "tests" / "golden" / "runs" / f"{NEW}+switch.json").exists()
    return copy


@pytest.mark.slow
def test_the_tests_of_every_composition_pass_after_recording(recorded):
    """In every mode, packed, on meshes, in training, with experts, with wiring and losses."""
    every = "tests/layers/test_every_composition.py"
    trains = "tests/layers/test_every_composition_trains.py"
    assert run_tests(recorded, "-k", NEW, *RECORDED, every, trains) >= 15


@pytest.mark.slow
def test_the_tests_of_gin_files_pass(recorded):
    """The new size, activation, optimizer and schedule, combined with the other files."""
    names = f"{NEW} or micro or -glu] or signum or rex]"
    assert run_tests(recorded, "-k", names, "tests/gin", "tests/gin_config")
    assert run_tests(recorded, "tests/gin_config/test_dead_bindings.py", "tests/gin/test_models.py")


@pytest.mark.slow
def test_the_tests_of_every_optimizer_and_schedule_pass(copy):
    every = [f"tests/{kind}s/test_every_{kind}.py" for kind in ("optimizer", "schedule")]
    assert run_tests(copy, "-k", "signum or rex]", *every) >= 7


@pytest.mark.slow
def test_the_new_parts_train_evaluate_and_generate(copy):
    """Architecture with experts, activation, size, task, optimizer and schedule in one model."""
    primer = ("-m", "primer.cli")
    parts = ["--architecture=average_transformer", "--activation=glu", "--size=micro"]
    files = ["architectures/switch.gin", "optimizers/signum.gin", "schedules/rex.gin"]
    for steps_of_training in (2, 4):  # The second run restores the optimizer's variables.
        run(
            copy,
            *primer,
            "train",
            *parts,
            "--task=./haiku.gin",
            "--model_dir=runs/haiku",
            f"--steps={steps_of_training}",
            *(f"--gin_file={name}" for name in files),
        )
    trained = ("--model_dir=runs/haiku", "--trust=haiku_task")
    assert "validation" in run(copy, *primer, "eval", *trained)
    prompt = ("--prompt=The old pond", "--max_tokens=3")
    assert "The old pond" in run(copy, *primer, "generate", *trained, *prompt)
