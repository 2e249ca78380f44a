"""The settings that a sweep's file may name: the fields of a run of training, and gin parameters.

A setting's key is a field (`architecture`, `learning_rate`, `seed`), or `gin.` and the left side of
a gin binding (`gin.num_layers`, `gin.Unitransformer.z_loss`).
"""

import dataclasses
import difflib
import os
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from primer.common import checks, user_paths
from primer.errors import UsageError
from primer.gin_config import config_files, statements
from primer.launch import composed_files, engine
from primer.launch.train import ModelChoice, TrainingRun

GIN = "gin."
_PARTS = tuple(field.name for field in dataclasses.fields(ModelChoice))
# Key -> field; `from`, a word of Python's, is the field `from_`.
_OF_RUN = {
    field.name.removesuffix("_"): field.name
    for field in dataclasses.fields(TrainingRun)
    if field.name not in ("model", "model_dir")
}
FIELDS = (*_PARTS, *_OF_RUN)
_HINTS = typing.get_type_hints(TrainingRun) | typing.get_type_hints(ModelChoice)
_TYPES = {name.removesuffix("_"): hint for name, hint in _HINTS.items()}
_LISTS = tuple(name for name in FIELDS if type(None) not in typing.get_args(_TYPES[name]))
# Fields whose values are paths, and those whose values may be paths of gin files.
_PATHS = ("data", "t5_tfds_data_dir", "from")
_GIN_FILES = ("gin_file", "task", "optimizer", "schedule", *_PARTS)

_BINDING = re.compile(r"(?:[A-Za-z_][\w.]*/)*[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
# `@SelfAttention`, `@shape/factory()`, `%d_ff`: references, which gin has without quotes.
_REFERENCE = re.compile(r"@[A-Za-z_][\w./]*(?:\(\))?|%[A-Za-z_][\w./]*")


def check_key(where: str, key: Any) -> str:
    """Returns the key of a setting.

    Args:
        where: the place in the file, for messages.
        key: the key as the file has it.

    Raises:
        UsageError: it is neither a field nor `gin.` with the left side of a binding.
    """
    if isinstance(key, str):
        if key in FIELDS or (key.startswith(GIN) and _BINDING.fullmatch(key[len(GIN) :])):
            return key
    close = difflib.get_close_matches(str(key), FIELDS, n=2)
    hint = f"expected one of {', '.join(FIELDS)}, or gin.NAME for a gin parameter"
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    raise UsageError(f"{where}: unknown setting {key!r}; {hint}")


def check_value(where: str, key: str, value: Any, folder: str) -> Any:
    """Returns the value of a setting, its paths made absolute.

    Args:
        where: the place in the file, for messages.
        key: a key that `check_key` returned.
        value: the value as the file has it.
        folder: the absolute path that relative paths begin at.

    Raises:
        UsageError: the value is not of the field's type, or cannot be a value of gin.
    """
    if key.startswith(GIN):
        gin_value(where, value)
        return value
    if key in _LISTS:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise UsageError(f"{where} = {value!r}: expected a text, or a list of texts")
        return [_path(key, text, folder) for text in texts]
    if bool in typing.get_args(_TYPES[key]):
        return checks.boolean(where, value)
    if str in typing.get_args(_TYPES[key]):
        if not isinstance(value, str) or not value:
            raise UsageError(f"{where} = {value!r}: expected a text (quote numbers and words)")
        return _path(key, value, folder)
    if float in typing.get_args(_TYPES[key]):
        return float(checks.positive_number(where, value))
    return checks.whole_number(where, value, least=0 if key == "seed" else 1)


def _path(key: str, text: str, folder: str) -> str:
    """Returns a text; where it is a path, from the folder of the sweep's file on."""
    if user_paths.is_remote(text):
        return text
    path = os.path.join(folder, os.path.expanduser(text))
    if key in _PATHS:
        return path
    # Other names are those of Primer's folder of gin files.
    return path if key in _GIN_FILES and text.endswith(".gin") and os.path.isfile(path) else text


def gin_value(where: str, value: Any) -> str:
    """Returns a value in gin's syntax: `@name` and `%name` are references, other texts are quoted.

    Raises:
        UsageError: gin has no such value (a date, a number that is not finite).
    """
    if isinstance(value, str):
        return value if _REFERENCE.fullmatch(value) else engine.gin_literal(value)
    if isinstance(value, list):
        return f"[{', '.join(gin_value(where, item) for item in value)}]"
    if isinstance(value, dict):
        pairs = (f"{gin_value(where, k)}: {gin_value(where, v)}" for k, v in value.items())
        return f"{{{', '.join(pairs)}}}"
    is_finite = checks.is_number(value) and abs(value) < float("inf")
    if value is None or isinstance(value, bool) or is_finite:
        return repr(value)
    raise UsageError(f"{where} = {value!r}: expected a value that gin has: text, number, list")


def merged(fixed: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a run: lists are joined, other values of axes replace fixed ones."""
    joined = {
        key: [*fixed.get(key, []), *value] if key in _LISTS else value
        for key, value in chosen.items()
    }
    return {**fixed, **joined}


def training_run(settings: Mapping[str, Any], model_dir: str) -> TrainingRun:
    """Returns the run of training that settings describe."""
    fields = {_OF_RUN[key]: value for key, value in settings.items() if key in _OF_RUN}
    bindings = [
        f"{key[len(GIN) :]} = {gin_value(key, value)}"
        for key, value in settings.items()
        if key.startswith(GIN)
    ]
    fields["gin_param"] = [*fields.get("gin_param", []), *bindings]
    parts = {key: settings[key] for key in _PARTS if key in settings}
    return TrainingRun(ModelChoice(**parts), model_dir, **fields)


def check_slots(settings: Mapping[str, Any], arguments: Iterable[str]) -> None:
    """Refuses a slot that neither Primer nor a gin file of the run has: it would have no effect.

    Names with a dot are known only when TensorFlow is imported; the run refuses a wrong one.

    Args:
        settings: the settings of the run.
        arguments: its arguments of the engine.

    Raises:
        UsageError: a slot is unknown.
    """
    slots = [key[len(GIN) :] for key in settings if key.startswith(GIN) and "." not in key[4:]]
    require_slots(slots, arguments, GIN)


def require_slots(slots: Sequence[str], arguments: Iterable[str], before: str = "") -> None:
    """Refuses slots that neither Primer nor a gin file of a run has.

    Args:
        slots: the names.
        arguments: the run's arguments of the engine.
        before: what the user writes before a name.

    Raises:
        UsageError: a slot is unknown.
    """
    if not slots:
        return
    option = "--gin_file="
    files = [word[len(option) :] for word in arguments if word.startswith(option)]
    known = {
        *statements.declared_slots(config_files.gin_directory()),
        *composed_files.macros_set(files),
    }
    for name in slots:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {before}{close[0]}?" if close else "`primer check` lists them"
            raise UsageError(f"{before}{name}: no gin file has a slot of this name; {hint}")
