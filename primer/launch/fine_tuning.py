"""A run that starts from another model's weights: `--from` and the options beside it."""

import os
from typing import TYPE_CHECKING, Any

from primer.checkpoints import saved_config
from primer.common import user_paths
from primer.errors import UsageError
from primer.gin_config import config_files
from primer.gin_config import trust as trusted_config
from primer.launch import engine

if TYPE_CHECKING:
    from primer.launch.train import TrainingRun

# Options, each with the name of the parameter of `initial_weights` that it sets.
_OPTIONS = ("checkpoint", "skip", "grow", "keep_step")


def bindings(run: "TrainingRun") -> list[str]:
    """Returns the gin bindings of `--from` and the options beside it; none without it.

    Raises:
        UsageError: an option of it without `--from`, or a path where nothing is.
    """
    if run.from_ is None:
        given = [option for option in _OPTIONS if getattr(run, option)]
        if given:
            raise UsageError(f"--{given[0]} says how --from is read: give --from, or leave it out")
        return []
    _require_path(run.from_)
    set_by_run: dict[str, Any] = {
        "checkpoint": _checkpoint(run.checkpoint),
        "skip": list(run.skip) or None,
        "grow": run.grow,
        "keep_step": run.keep_step or None,
    }
    names = {f"initial_weights.{name}": value for name, value in set_by_run.items()}
    return engine.gin_bindings({"utils.run.init_checkpoint": run.from_, **names})


def model_files(run: "TrainingRun") -> list[str]:
    """Returns the gin files of the model, data and settings of the directory of `--from`.

    Raises:
        UsageError: it has no configuration, or one that runs code which is not trusted.
    """
    directory = run.from_ or ""
    if not user_paths.is_remote(directory) and not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    config = saved_config.config_file(directory or ".")
    trusted_config.check_config(config, [*run.module_import, *run.trust])
    return [config_files.MODEL_DEFAULTS, config, "run/new_start.gin"]


def _checkpoint(which: str | None) -> str | int | None:
    """Returns a step as a number; words stay."""
    return int(which) if which is not None and which.isdecimal() else which


def _require_path(path: str) -> None:
    """Raises UsageError where a local path is neither a directory nor a checkpoint."""
    if user_paths.is_remote(path) or os.path.isdir(path) or os.path.exists(f"{path}.index"):
        return
    raise UsageError(
        f"--from {path}: there is no such directory, and no such checkpoint (a path that ends in "
        "model.ckpt-<step>)"
    )
