"""Refuses a command whose gin files and bindings alone show that the run would refuse it."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from primer.common.settings import evaluation_settings, generation_settings, run_settings
from primer.gin_config import gin_errors
from primer.gin_config.before_imports import engine_arguments, settings_text
from primer.gin_config.before_imports.settings_text import UNKNOWN, Settings

# What `utils.run.train_model_fn` refers to -> what runs in place of training.
EVALUATION, SCORES, GENERATION = "evaluate_checkpoints", "score_texts", "generate_text"

_TRAIN_MODEL = "utils.run.train_model_fn"


def check_command(words: Sequence[str]) -> None:
    """Checks the words after `t5_mesh_transformer`.

    Raises:
        UsageError: a file is missing or not gin, or a setting has a value that is not legal.
    """
    check(engine_arguments.parse(words))


def check_files(
    files: Iterable[str], params: Iterable[str], modules: Iterable[str] = (), slots: bool = False
) -> None:
    """Checks gin files and bindings that a command reads after `t5_imports`.

    Args:
        files: the values of `--gin_file`.
        params: the values of `--gin_param`.
        modules: the values of `--module_import` after `t5_imports`.
        slots: whether a misspelled slot is refused, as by a run.

    Raises:
        UsageError: a file is missing or not gin, or nothing refers to a slot of `params` and its
            name is nearly that of another one.
    """
    arguments = engine_arguments.EngineArguments(
        tuple(files), tuple(params), ("t5_imports", *modules), is_complete=False
    )
    settings = settings_text.read(arguments)
    if slots:
        _check_slots(settings, arguments)


def check(arguments: engine_arguments.EngineArguments) -> None:
    """Checks the files and, where nothing else decides the settings, their names and values.

    Raises:
        UsageError: as `check_files`, or a setting has a value that is not legal.
    """
    settings = settings_text.read(arguments)
    if not arguments.is_complete:
        return
    _check_slots(settings, arguments)
    if settings.is_complete and arguments.has_own_modules_only:
        _check_values(settings, arguments.has_tpu)


def _check_slots(settings: Settings, arguments: engine_arguments.EngineArguments) -> None:
    """Refuses misspelled slots, unless a file that cannot be read here may refer to them."""
    if settings.is_complete and arguments.has_own_modules_only:
        gin_errors.refuse_misspelled(arguments.gin_params, settings.referred_to)


def _check_values(settings: Settings, has_tpu: bool) -> None:
    _check_one(settings, "precision.activation_dtype", run_settings.check_activation_dtype)
    if not has_tpu:
        _check_one(settings, "estimator.kind", run_settings.check_estimator)
    _check_one(settings, "utils.run.mode", run_settings.check_mode)
    purpose = settings.function(_TRAIN_MODEL)
    mode = settings.value("utils.run.mode", "train")
    if mode == "train" and settings.value(_TRAIN_MODEL) is None:
        _check_one(settings, "utils.run.batch_size", run_settings.check_batch_size)
        _check_one(settings, "utils.run.train_steps", run_settings.check_train_steps)
    if purpose in _OF_PURPOSE:
        _OF_PURPOSE[purpose](settings)


def _check_evaluation(settings: Settings) -> None:
    _check_one(settings, f"{EVALUATION}.order_by", evaluation_settings.check_order)
    dtype = f"{EVALUATION}.activation_dtype"
    _check_one(settings, dtype, functools.partial(run_settings.check_dtype, dtype))
    _check_protocol(settings)


def _check_scores(settings: Settings) -> None:
    _check_protocol(settings)
    _check_one(settings, "protocol.name", evaluation_settings.check_score_protocol)
    files, split, task, unit, form, output = _values(
        settings,
        SCORES,
        {"files": None, "split": None, "task": None, "unit": None}
        | {"format": evaluation_settings.JSONL, "output": None},
    )
    _check_known(evaluation_settings.check_score_input, files, split, task)
    if unit:
        _check_known(evaluation_settings.check_score_unit, unit)
    _check_known(evaluation_settings.check_score_format, form, output)


def _check_generation(settings: Settings) -> None:
    request = {"num_samples": 1, "max_tokens": 128, "seed": None, "stops": ()}
    _check_known(generation_settings.check_request, *_values(settings, GENERATION, request))
    sampling = {"temperature": 1.0, "top_k": None, "top_p": None}
    _check_known(generation_settings.check_sampling, *_values(settings, GENERATION, sampling))


_OF_PURPOSE: dict[str, Callable[[Settings], None]] = {
    EVALUATION: _check_evaluation,
    SCORES: _check_scores,
    GENERATION: _check_generation,
}


def _check_protocol(settings: Settings) -> None:
    values = {"name": "stream", "stride": None, "columns": None, "ext_len": None}
    _check_known(evaluation_settings.check_protocol, *_values(settings, "protocol", values))


def _values(settings: Settings, configurable: str, defaults: dict[str, Any]) -> list[Any]:
    """Returns the values of parameters, in the order of their defaults."""
    return [settings.value(f"{configurable}.{name}", value) for name, value in defaults.items()]


def _check_one(settings: Settings, setting: str, check: Callable[[Any], None]) -> None:
    """Checks the value of a setting that is bound."""
    value = settings.value(setting, UNKNOWN)
    _check_known(check, value)


def _check_known(check: Callable[..., None], *values: Any) -> None:
    """Calls a check unless one of the values is not known."""
    if not any(value is UNKNOWN for value in values):
        check(*values)
