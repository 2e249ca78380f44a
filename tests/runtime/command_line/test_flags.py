"""The flags `--seed`, `--eval_every`, `--early_stop` and `--profile`."""

import gin
import mesh_tensorflow.transformer.utils  # noqa: F401  (its patch defines the flags)
import pytest
from absl import flags
from t5.models import mesh_transformer  # noqa: F401  (registers mesh_train_dataset_fn with gin)

from primer.common import random_seed
from primer.runtime.command_line import flags as engine_flags
from primer.runtime.training import validation
from primer.runtime.training.profiling import profiled_steps

DATA_SEED = "t5.models.mesh_transformer.mesh_train_dataset_fn.seed"


@pytest.fixture
def parse(monkeypatch):
    """A function that parses command-line words as `utils.parse_gin_defaults_and_flags` does."""

    def parse_words(*words):
        values = flags.FlagValues()
        flags.DEFINE_multi_string("gin_param", None, "", flag_values=values)
        for name in engine_flags.PARAMETERS:
            flags.DEFINE_integer(name, None, "", flag_values=values)
        values(["test", *words])
        monkeypatch.setattr(flags, "FLAGS", values)
        stock = lambda: gin.parse_config(values.gin_param or [])  # noqa: E731
        engine_flags._bind_flags(stock)()

    return parse_words


def test_the_patch_of_mesh_tensorflow_defines_the_flags():
    assert {"seed", "eval_every", "early_stop", "profile"} <= set(flags.FLAGS)


def test_without_flags_the_defaults_hold(parse):
    parse()
    assert (random_seed.run_seed(), validation.validation()) == (0, None)


def test_flags_bind_after_gin_param(parse):
    words = ("--seed=4", "--eval_every=5", "--early_stop=6", "--profile=7")
    parse("--gin_param=run_seed.seed = 3", *words)
    settings = validation.ValidationSettings(every=5, early_stop=6)
    assert (random_seed.run_seed(), validation.validation()) == (4, settings)
    assert profiled_steps.profile_settings().number == 7


def test_the_data_order_has_the_seed_of_the_run(parse):
    parse("--seed=4")
    assert gin.query_parameter(DATA_SEED).scoped_configurable_fn() == 4


def test_a_seed_of_the_data_order_in_gin_is_kept(parse):
    parse("--seed=4", "--gin_param=mesh_train_dataset_fn.seed = 9")
    assert gin.query_parameter(DATA_SEED) == 9


def test_data_paths_are_absolute_when_gin_is_parsed(parse, monkeypatch):
    monkeypatch.setenv("HOME", "/home/u")
    parse("--gin_param=utils.run.init_checkpoint = '~/runs/a/model.ckpt-3'")
    assert gin.query_parameter("utils.run.init_checkpoint") == "/home/u/runs/a/model.ckpt-3"


def test_the_home_directory_is_expanded_in_flags(monkeypatch):
    monkeypatch.setenv("HOME", "/home/u")
    values = flags.FlagValues()
    flags.DEFINE_string("model_dir", None, "", flag_values=values)
    flags.DEFINE_multi_string("gin_file", None, "", flag_values=values)
    values(["test", "--model_dir=~/runs", "--gin_file=~/a.gin", "--gin_file=b.gin"])
    monkeypatch.setattr(flags, "FLAGS", values)
    engine_flags.expand_paths()
    assert values.model_dir == "/home/u/runs"
    assert values.gin_file == ["/home/u/a.gin", "b.gin"]


def test_a_binding_that_gin_rejects_ends_with_one_line(parse, capsys):
    with pytest.raises(SystemExit) as ended:
        parse("--gin_param=run_seed.sed = 3")
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("primer: ") and "sed" in line
