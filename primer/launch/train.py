"""The engine's command line that trains a published model or a composition on a task."""

import dataclasses
import importlib.machinery
import os
from collections.abc import Sequence

from primer.common import checks, user_paths
from primer.errors import UsageError
from primer.gin_config import config_files, statements
from primer.launch import composed_files, fine_tuning, prepared_data

# Part of a model, an option of commands -> the folder of its gin files.
PARTS = {"architecture": "architectures", "activation": "activations", "size": "sizes"}


# Name of --tracker -> its class (`primer.runtime.tracking`).
TRACKERS = {"wandb": "WandbTracker"}


@dataclasses.dataclass(frozen=True)
class ModelChoice:
    """A published model, or the three parts of a composition: names, or paths of gin files.

    Attributes:
        model: a name of models/; excludes the parts.
        architecture: a name of architectures/.
        activation: a name of activations/.
        size: a name of sizes/ or sizes/published/.
    """

    model: str | None = None
    architecture: str | None = None
    activation: str | None = None
    size: str | None = None

    def parts(self) -> dict[str, str]:
        """Returns {part: name} of the parts that are given."""
        names = {part: getattr(self, part) for part in PARTS}
        return {part: name for part, name in names.items() if name}

    def is_empty(self) -> bool:
        """Returns whether neither a model nor any part is given."""
        return not self.model and not self.parts()


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """What to train, on which data, for how long; None leaves the engine's own value in force.

    Attributes:
        model: the model.
        model_dir: where checkpoints and logs go.
        task: a name of datasets/, a task's full name, or a gin file.
        data: the folder of `primer data prepare --output`.
        steps: the step at which training ends.
        seed: of initial values, data order and dropout.
        eval_every: steps between two evaluations of the validation split.
        early_stop: evaluations in a row without a better loss, after which training ends.
        profile: steps to profile, in the middle of training.
        tracker: a name of TRACKERS: the service that shows the run's numbers.
        optimizer: a name of optimizers/, or a gin file.
        schedule: a name of schedules/, or a gin file.
        learning_rate: the highest learning rate.
        gin_file: further gin files, after the model's and the task's.
        gin_param: further gin bindings, after all files.
        module_import: further Python modules to import.
        t5_tfds_data_dir: the folder of prepared TensorFlow data sets.
        from_: a model directory or a checkpoint, whose weights the run starts from.
        checkpoint: which one of a directory: "latest", "best" or a step.
        skip: regular expressions of weights that keep their initial values.
        grow: what further rows of larger vocabularies begin with: "mean" or "initial".
        keep_step: whether to go on at its step, with its optimizer's state.
        trust: what the directory's own config.gin may import besides Primer's packages.
    """

    model: ModelChoice
    model_dir: str
    task: str | None = None
    data: str | None = None
    steps: int | None = None
    seed: int | None = None
    eval_every: int | None = None
    early_stop: int | None = None
    profile: int | None = None
    tracker: str | None = None
    optimizer: str | None = None
    schedule: str | None = None
    learning_rate: float | None = None
    gin_file: Sequence[str] = ()
    gin_param: Sequence[str] = ()
    module_import: Sequence[str] = ()
    t5_tfds_data_dir: str | None = None
    from_: str | None = None
    checkpoint: str | None = None
    skip: Sequence[str] = ()
    grow: str | None = None
    keep_step: bool | None = None
    trust: Sequence[str] = ()


def engine_arguments(run: TrainingRun) -> list[str]:
    """Returns the arguments of `t5_mesh_transformer` for a run of training.

    Raises:
        UsageError: an unknown model, part, task, optimizer or schedule (the message lists the known
            ones), a number below 1, a rate of 0 or below, a missing file, or a start from where
            nothing is.
    """
    for name in ("steps", "eval_every", "early_stop", "profile"):
        value = getattr(run, name)
        if value is not None:
            checks.whole_number(f"--{name}", value)
    start = fine_tuning.bindings(run)
    task, data_arguments = _task_and_data_arguments(run)
    arguments = [
        *(f"--module_import={name}" for name in ["t5_imports", *run.module_import]),
        f"--model_dir={run.model_dir}",
        *(f"--gin_file={name}" for name in _model_files(run)),
        *([f"--gin_file={task_gin_file(task)}"] if task else []),
        *(f"--gin_file={name}" for name in optimization_files(run.optimizer, run.schedule)),
        *(f"--gin_file={require_gin_file(name)}" for name in run.gin_file),
        *data_arguments,
    ]
    if run.steps is not None:
        arguments.append(f"--gin_param=utils.run.train_steps = {run.steps}")
    bindings = learning_rate_bindings(run.learning_rate) + tracker_bindings(run.tracker)
    bindings += [*start, *run.gin_param]
    arguments += [f"--gin_param={binding}" for binding in bindings]
    for name in ("seed", "eval_every", "early_stop", "profile", "t5_tfds_data_dir"):
        value = getattr(run, name)
        if value is not None:
            arguments.append(f"--{name}={value}")
    return arguments


def optimization_files(optimizer: str | None, schedule: str | None) -> list[str]:
    """Returns the gin files of an optimizer and of a schedule, those that are given.

    Args:
        optimizer: a name of optimizers/, or the path of a gin file.
        schedule: a name of schedules/, or the path of a gin file.

    Raises:
        UsageError: an unknown name (the message lists the known ones), or a missing file.
    """
    named = (("optimizer", "optimizers", optimizer), ("schedule", "schedules", schedule))
    return [_named_file(option, kind, name) for option, kind, name in named if name]


def learning_rate_bindings(learning_rate: float | None) -> list[str]:
    """Returns the gin binding of --learning_rate; none for None.

    Raises:
        UsageError: the rate is not above 0.
    """
    if learning_rate is None:
        return []
    return [f"learning_rate = {checks.positive_number('--learning_rate', learning_rate)!r}"]


def tracker_bindings(name: str | None) -> list[str]:
    """Returns the gin binding of --tracker; none for None.

    Raises:
        UsageError: an unknown name.
    """
    if name is None:
        return []
    if name not in TRACKERS:
        raise UsageError(
            f"--tracker is {name}; expected {', '.join(TRACKERS)}. For a class of your own, give "
            f"--gin_param 'tracking.tracker = @YourTracker()' and its module with --module_import"
        )
    return [f"tracking.tracker = @{TRACKERS[name]}()"]


def _model_files(run: TrainingRun) -> list[str]:
    """Returns the gin files of the model; the defaults alone where a named file has a model."""
    if run.model.is_empty() and composed_files.set_a_model(map(require_gin_file, run.gin_file)):
        return [config_files.MODEL_DEFAULTS]
    return fine_tuning.model_files(run) if _is_as_before(run) else model_gin_files(run.model)


def _is_as_before(run: TrainingRun) -> bool:
    """Returns whether the model is that of the directory of `from_`, by its own settings."""
    return run.from_ is not None and run.model.is_empty()


def _task_and_data_arguments(run: TrainingRun) -> tuple[str | None, list[str]]:
    """Returns the task, and the engine's arguments that read its prepared data.

    The task is None where a named file has one.
    """
    if run.data:
        name = None if run.task is None else full_task_name(run.task)
        full_name, arguments = prepared_data.task_and_arguments(run.data, name)
        return run.task or full_name, arguments
    if not run.task and composed_files.set_a_task(map(require_gin_file, run.gin_file)):
        return None, []
    if not run.task and _is_as_before(run):
        return None, []
    if not run.task:
        raise UsageError(
            "no data: give --task, or --data with what `primer data prepare` wrote; tasks: "
            + ", ".join(config_files.names_of_kind("datasets"))
        )
    return run.task, []


def full_task_name(task: str) -> str:
    """Returns the task that a name of datasets/, or a gin file by its path, sets.

    Raises:
        UsageError: as for `task_gin_file`.
    """
    path = os.path.join(config_files.gin_directory(), task_gin_file(task))
    return statements.macros_set(path).get("MIXTURE_NAME", task)


def model_gin_files(choice: ModelChoice) -> list[str]:
    """Returns the gin files of a model, defaults first.

    Raises:
        UsageError: a model and parts, or neither, or some of the parts; or an unknown name.
    """
    parts = choice.parts()
    if choice.model and parts:
        raise UsageError("--model and --architecture, --activation, --size: give one or the other")
    if len(parts) == len(PARTS):
        files = [_named_file(part, PARTS[part], name) for part, name in parts.items()]
        return [config_files.MODEL_DEFAULTS, *files]
    if not choice.model or parts:
        raise UsageError(
            "no model: give --model, or all of --architecture, --activation and --size; models: "
            + config_files.short_list(config_files.names_of_kind("models"))
        )
    if choice.model.endswith(".gin"):
        return [config_files.MODEL_DEFAULTS, _existing_file("--model", choice.model)]
    return config_files.published_model_files(choice.model)


def _named_file(option: str, kind: str, name: str) -> str:
    """Returns the gin file of an option, given by its name in a folder or as a path."""
    if name.endswith(".gin"):
        return _existing_file(f"--{option}", name)
    return config_files.gin_file(kind, name)


def task_gin_file(task: str) -> str:
    """Returns the gin file of a task.

    Args:
        task: a name of datasets/, a task's full name, or the path of a gin file.

    Raises:
        UsageError: an unknown name (the message lists the known ones), or a missing file.
    """
    return _named_file("task", "datasets", dataset_of_task().get(task, task))


def dataset_of_task() -> dict[str, str]:
    """Returns {full name of a task: name of the file of datasets/ that sets it}."""
    datasets: dict[str, str] = {}
    for name in config_files.names_of_kind("datasets"):
        path = os.path.join(config_files.gin_directory(), config_files.gin_file("datasets", name))
        task = statements.macros_set(path).get("MIXTURE_NAME")
        if task is not None:
            datasets[task] = name
    return datasets


def require_gin_file(name: str, option: str = "--gin_file") -> str:
    """Returns the name of a gin file that gin will find: as a path, or in Primer's or t5's folder.

    Args:
        name: the file.
        option: the option that names it.

    Raises:
        UsageError: the file is in none of these places.
    """
    # Not importlib.util.find_spec: the import hook would prepare t5 as for an import of it.
    t5_package = importlib.machinery.PathFinder.find_spec("t5")
    t5_folders = list(t5_package.submodule_search_locations or []) if t5_package else []
    folders = [config_files.gin_directory(), *(f"{path}/models/gin" for path in t5_folders)]
    if any(os.path.isfile(os.path.join(folder, name)) for folder in folders):
        return name
    return _existing_file(option, name)


def _existing_file(option: str, path: str) -> str:
    if not os.path.isfile(path) and not user_paths.is_remote(path):
        raise UsageError(f"{option} {path}: there is no such file")
    return path
