"""The models of the demo are files on the disk and differ in their architecture alone."""

import os

import pytest

from primer.experiments import contenders
from primer.experiments.sweeps import run_settings
from primer.gin_config import config_files, statements
from primer.launch import train


def test_all_have_equal_sizes_and_read_the_same_rows():
    arguments = [contenders.train_arguments(c, "m", seed=4) for c in contenders.CONTENDERS]
    shared = [[a for a in words if "sizes" in a or "datasets" in a] for words in arguments]
    assert len(shared) == 4 and len(shared[0]) == 2
    assert all(files == shared[0] for files in shared)
    assert all("--seed=4" in words for words in arguments)


@pytest.mark.parametrize("contender", contenders.CONTENDERS, ids=lambda c: c.name)
def test_every_file_exists_and_bindings_come_after_files(contender):
    arguments = contenders.train_arguments(contender, "m", bindings=["a.b = 1", "a.b = 2"])
    files = [words.split("=")[1] for words in arguments if words.startswith("--gin_file=")]
    for name in files:
        assert os.path.isfile(os.path.join(config_files.gin_directory(), name))
    rate = f"--gin_param={contenders.RATE} = {contender.learning_rate}"
    assert arguments[-4:] == [rate, "--gin_param=a.b = 1", "--gin_param=a.b = 2", "--seed=0"]


@pytest.mark.parametrize("contender", contenders.CONTENDERS, ids=lambda c: c.name)
def test_the_settings_of_a_run_are_those_of_its_command(contender):
    run = contenders.run_of(contender, "m", seed=4, steps=8)
    settings = dict(run.settings)
    assert run.name == f"architecture={contender.name},seed=4" and settings.pop("steps") == 8
    words = train.engine_arguments(run_settings.training_run(settings, "m"))
    assert sorted(words) == sorted(run.arguments)


def test_the_learning_rate_is_a_setting_of_the_demos_own_file():
    path = os.path.join(config_files.gin_directory(), config_files.gin_file("run", "demo"))
    bound = [
        f"{statement.selector}.{statement.arg_name}"
        for statement in statements.parse_file(path)
        if statements.is_binding(statement)
    ]
    assert contenders.RATE in bound
