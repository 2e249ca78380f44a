"""Planning's callbacks: warnings before the first step, and the slots in operative_config.gin."""

import gin
import pytest

from primer.errors import UsageError
from primer.gin_config import config_files, gin_state, slots
from primer.launch import train
from primer.planning import run_warnings, runtime_callbacks
from primer.runtime import callbacks
from tests import gin_models

FILES = config_files.composition_files("transformer", "relu", "tiny")


def test_a_warning_is_printed_for_each_line(monkeypatch, capsys):
    monkeypatch.setattr(callbacks, "command_line", lambda: (["a.gin"], ["b = 1"]))
    lines = {("a.gin", "b = 1"): ["first", "second"]}
    monkeypatch.setattr(
        run_warnings, "warning_lines", lambda files, params: lines[(*files, *params)]
    )
    runtime_callbacks.warn_of_settings_without_effect("nowhere")
    assert capsys.readouterr().err == "Warning: first\nWarning: second\n"


def test_the_operative_configuration_begins_with_the_slots(tmp_path):
    gin_models.parse(FILES)
    path = tmp_path / "operative_config.gin"
    path.write_text(gin.config_str())
    for _ in range(2):
        runtime_callbacks.add_slots_to_operative_config(str(tmp_path))
    assert path.read_text() == slots.as_comments() + "\n" + gin.config_str()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_directory_without_an_operative_configuration_is_unchanged(tmp_path):
    runtime_callbacks.add_slots_to_operative_config(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "binding, message",
    [
        ("warmup_steps = -1", "warmup_steps = -1: expected a number of steps"),
        ("learning_rate = None", "learning_rate = None: expected a learning rate"),
        ("final_learning_rate_fraction = 2", "final_learning_rate_fraction = 2: expected a frac"),
        ("base_width = 0", "base_width = 0: expected a number above 0"),
        ("clip_norm = -1", "training_optimizer.clip_norm = -1: expected a number above 0"),
        ("AdamWOptimizer.beta1 = 1", "AdamWOptimizer.beta1 = 1: expected"),
    ],
)
def test_schedule_and_optimizer_are_checked_before_a_run_reads_data(binding, message):
    gin_models.parse([*FILES, "optimizers/adamw.gin"], [binding])
    runtime_callbacks.check_optimization("perplexity_eval")
    with pytest.raises(UsageError, match=message):
        callbacks.run_checks("train")


@pytest.mark.parametrize("name", [None, *config_files.names_of_kind("optimizers")])
def test_the_check_of_a_right_optimizer_leaves_no_trace(name):
    gin_models.parse([*FILES, *train.optimization_files(name, None)])
    before = dict(gin_state.recorded_calls())
    runtime_callbacks.check_optimization("train")
    assert dict(gin_state.recorded_calls()) == before


def test_all_are_registered():
    assert runtime_callbacks.check_optimization in callbacks._registry.checks
    assert runtime_callbacks.warn_of_settings_without_effect in callbacks._registry.start_functions
    assert runtime_callbacks.add_slots_to_operative_config in callbacks._registry.start_functions
