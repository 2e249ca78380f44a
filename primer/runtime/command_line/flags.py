"""The command-line flags that Primer adds to t5's main: those of PARAMETERS."""

import functools
import tokenize
import types
from collections.abc import Callable

import gin
from absl import flags

from primer.common import user_paths
from primer.gin_config import absolute_paths, gin_errors
from primer.gin_config.values import configured
from primer.runtime.command_line.errors_in_one_line import OneLineErrors

# Flag -> the gin parameter that it binds.
PARAMETERS = {
    "seed": "run_seed.seed",
    "eval_every": "validation.every",
    "early_stop": "validation.early_stop",
    "profile": "profile.steps",
}

# Flags of t5's main whose values are paths, or lists of paths.
PATHS = (
    "model_dir",
    "gin_file",
    "t5_tfds_data_dir",
    "additional_task_cache_dirs",
    "pretrained_model_dir",
    "eval_summary_dir",
    "input_file",
    "target_file",
    "output_file",
    "export_dir",
)


def patch(utils: types.ModuleType) -> None:
    """Defines the flags, and lets `utils.parse_gin_defaults_and_flags` bind their values.

    Args:
        utils: `mesh_tensorflow.transformer.utils`.
    """
    _define("seed", "Seed of initial values, data order, dropout and jitter.")
    _define("eval_every", "Training steps between two evaluations on the held-out split.")
    _define("early_stop", "Evaluations of --eval_every without a better loss that end training.")
    _define("profile", "Training steps to profile, in the middle of training.")
    utils.parse_gin_defaults_and_flags = _bind_flags(utils.parse_gin_defaults_and_flags)


def expand_paths() -> None:
    """Expands `~` in the values of flags: a shell leaves it in `--model_dir=~/runs/a`."""
    for name in PATHS:
        value = getattr(flags.FLAGS, name, None)
        if isinstance(value, list):
            setattr(flags.FLAGS, name, list(map(user_paths.expand, value)))
        elif value:
            setattr(flags.FLAGS, name, user_paths.expand(value))


def _define(name: str, help_text: str) -> None:
    if name not in flags.FLAGS:
        flags.DEFINE_integer(name, None, help_text)


def _bind_flags(stock: Callable) -> Callable:
    """Binds the flags' values after all values of `--gin_param`."""

    @functools.wraps(stock)
    def parse_gin_defaults_and_flags(*args, **kwargs):
        values = {name: getattr(flags.FLAGS, name) for name in PARAMETERS}
        bindings = [
            f"{PARAMETERS[name]} = {value}" for name, value in values.items() if value is not None
        ]
        if bindings:
            flags.FLAGS.gin_param = list(flags.FLAGS.gin_param or []) + bindings
        with OneLineErrors():
            try:
                stock(*args, **kwargs)
            except (ValueError, SyntaxError, tokenize.TokenError) as error:
                raise gin_errors.as_usage_error(error) from error
            gin_errors.check_macro_names(flags.FLAGS.gin_param or [])
            absolute_paths.make_absolute()
            _seed_data_order()

    return parse_gin_defaults_and_flags


def _seed_data_order() -> None:
    """Binds the seed of the data order to the run's seed, unless a gin file binds it."""
    name = "t5.models.mesh_transformer.mesh_train_dataset_fn.seed"
    if configured(name) is None and not gin.config_is_locked():
        gin.parse_config(f"{name} = @primer.run_seed()")
