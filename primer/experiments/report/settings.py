"""The settings of runs as their `config.gin` has them, and those in which groups of runs differ."""

import os
from collections.abc import Mapping
from typing import Any

from primer.checkpoints import saved_config
from primer.errors import UsageError
from primer.gin_config import statements

# What tells two runs of the same experiment apart: not compared.
SEED = "run_seed.seed"
_OWN = {SEED, "run.model_dir"}
_ABSENT = "(not set)"


def read(model_dir: str) -> dict[str, str] | None:
    """Returns {parameter or macro: its value as gin text} of a run, or None without a config.gin.

    Names of modules are left out, because gin numbers them within a file: `Class.parameter`.

    Raises:
        UsageError: the file is not gin.
    """
    if not any(os.path.exists(os.path.join(model_dir, name)) for name in saved_config.CONFIGS):
        return None
    path = saved_config.config_file(model_dir)
    try:
        found = statements.parse_file(path)
    except SyntaxError as error:
        raise UsageError(f"{path} is not a gin file ({error}); copy it from a backup") from error
    return {_name(one): text(one.value) for one in found if statements.is_binding(one)}


def _name(binding: statements.Statement) -> str:
    scope = f"{binding.scope}/" if binding.scope else ""
    return f"{scope}{_short(binding.selector)}" + (
        f".{binding.arg_name}" if binding.arg_name else ""
    )


def _short(name: str) -> str:
    """Returns a name without its module, with its scope."""
    scope, slash, last = name.rpartition("/")
    return scope + slash + last.rpartition(".")[2]


def text(value: Any) -> str:
    """Returns a value as gin text, references without their modules."""
    if isinstance(value, statements.Macro):
        return f"%{_short(value.name)}"
    if isinstance(value, statements.Reference):
        return f"@{_short(value.name)}" + ("()" if value.evaluate else "")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(text, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{text(k)}: {text(v)}" for k, v in value.items()) + "}"
    return repr(value)


def seed(config: Mapping[str, str] | None) -> int | None:
    """Returns the seed of a run, or None where it had none."""
    value = (config or {}).get(SEED, "None")
    return int(value) if value.lstrip("-").isdecimal() else None


def without_own(config: Mapping[str, str]) -> dict[str, str]:
    """Returns the settings without the seed and the directory of the run."""
    return {name: value for name, value in config.items() if name not in _OWN}


def differences(configs: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Returns {setting: {group: value}} of the settings that are not the same in all groups.

    Args:
        configs: {group: its settings}.
    """
    plain = {group: without_own(config) for group, config in configs.items()}
    names = sorted({name for config in plain.values() for name in config})
    found = {}
    for name in names:
        values = {group: config.get(name, _ABSENT) for group, config in plain.items()}
        if len(set(values.values())) > 1:
            found[name] = values
    return found
