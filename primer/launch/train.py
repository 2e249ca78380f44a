"""The command line of the engine that trains a published model or a composition on a task."""

import importlib.machinery
import os

from primer.common import checks
from primer.errors import UsageError
from primer.gin_config import config_files, statements
from primer.launch import prepared_data

# Option -> the folder of gin files that it names one of.
PARTS = {"architecture": "architectures", "activation": "activations", "size": "sizes"}


def engine_arguments(options) -> list:
    """The arguments of `t5_mesh_transformer` that the options stand for.

    Raises:
        UsageError: an unknown model, part or task; the message lists those that there are.
    """
    for name in ("steps", "eval_every"):
        value = getattr(options, name)
        if value is not None:
            checks.whole_number(f"--{name}", value)
    task, of_data = _task_and_data(options)
    arguments = [
        *(f"--module_import={name}" for name in ["t5_imports", *options.module_import]),
        f"--model_dir={options.model_dir}",
        *(f"--gin_file={name}" for name in model_gin_files(options)),
        f"--gin_file={task_gin_file(task)}",
        *(f"--gin_file={require_gin_file(name)}" for name in options.gin_file),
        *of_data,
    ]
    if options.steps is not None:
        arguments.append(f"--gin_param=utils.run.train_steps = {options.steps}")
    arguments += [f"--gin_param={binding}" for binding in options.gin_param]
    for name in ("seed", "eval_every", "t5_tfds_data_dir"):
        value = getattr(options, name)
        if value is not None:
            arguments.append(f"--{name}={value}")
    return arguments


def _task_and_data(options) -> tuple:
    """The task, and what the engine is told to read its prepared data."""
    if options.data:
        full_name, arguments = prepared_data.task_and_arguments(
            options.data, _full_name(options.task)
        )
        return options.task or full_name, arguments
    if not options.task:
        raise UsageError(
            "no data: give --task, or --data with what `primer data prepare` wrote; tasks: "
            + ", ".join(config_files.names_of_kind("datasets"))
        )
    return options.task, []


def _full_name(task):
    """The task that a file of datasets/, or a file of the user's own, sets; None for None."""
    if task is None:
        return None
    path = os.path.join(config_files.gin_directory(), task_gin_file(task))
    return statements.macros_set(path).get("MIXTURE_NAME", task)


def model_gin_files(options) -> list:
    """The gin files of `--model`, or of `--architecture`, `--activation` and `--size`."""
    parts = [getattr(options, part) for part in PARTS]
    if options.model and any(parts):
        raise UsageError("--model and --architecture, --activation, --size: give one or the other")
    if all(parts):
        return [config_files.MODEL_DEFAULTS, *map(_part_file, PARTS, parts)]
    if not options.model or any(parts):
        raise UsageError(
            "no model: give --model, or all of --architecture, --activation and --size; models: "
            + ", ".join(config_files.names_of_kind("models"))
        )
    if options.model.endswith(".gin"):
        return [config_files.MODEL_DEFAULTS, _own_file("--model", options.model)]
    return config_files.published_model_files(options.model)


def _part_file(part, name) -> str:
    """The gin file of a part of a model: a name of its folder, or an own file."""
    if name.endswith(".gin"):
        return _own_file(f"--{part}", name)
    return config_files.gin_file(PARTS[part], name)


def task_gin_file(task) -> str:
    """The gin file of a task: a name of datasets/, the task's full name, or an own file."""
    if task.endswith(".gin"):
        return _own_file("--task", task)
    return config_files.gin_file("datasets", dataset_of_task().get(task, task))


def dataset_of_task() -> dict:
    """The task of each file of datasets/ -> the file's name."""
    found = {}
    for name in config_files.names_of_kind("datasets"):
        path = os.path.join(config_files.gin_directory(), config_files.gin_file("datasets", name))
        found[statements.macros_set(path).get("MIXTURE_NAME")] = name
    return found


def require_gin_file(name):
    """Checks that gin will find a file: as it is, among ours, or among t5's."""
    # Not importlib.util.find_spec: the hook takes that for an import of t5, and prepares it.
    t5_package = importlib.machinery.PathFinder.find_spec("t5")
    t5_folders = list(t5_package.submodule_search_locations or []) if t5_package else []
    folders = [config_files.gin_directory(), *(f"{path}/models/gin" for path in t5_folders)]
    if any(os.path.isfile(os.path.join(folder, name)) for folder in folders):
        return name
    return _own_file("--gin_file", name)


def _own_file(setting, path):
    if not os.path.isfile(path) and "://" not in path:
        raise UsageError(f"{setting} {path}: there is no such file")
    return path
