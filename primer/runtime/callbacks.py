"""Callbacks of other rooms: checks before a run, functions at its start, error explainers.

The runtime imports neither data nor evaluation nor planning. Their `runtime_callbacks` modules
register what they check, print and evaluate; `t5_imports` imports these modules.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from absl import flags

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

Check = Callable[[str], None]  # Takes the mode of `utils.run`.
StartFunction = Callable[[str], None]  # Takes the model directory.
Explainer = Callable[[Exception], Exception | None]


class Validator(Protocol):
    """Evaluates checkpoints during training."""

    def recorded(self, path: str) -> dict[str, Any] | None:
        """Returns the recorded result of a checkpoint, or None; this reads no text."""

    def history(self) -> list[dict[str, Any]]:
        """Returns all recorded results of the model, in the order of recording, as `recorded`."""

    def prepare(self) -> None:
        """Reads the text to evaluate on, if that has not been done; this writes nothing."""

    def evaluate(self, path: str) -> dict[str, Any]:
        """Returns the result of a checkpoint, recorded or computed and recorded now.

        Returns:
            A dict with "step", "nats_per_token", "how" (the protocol) and further results.

        Raises:
            RunError: the checkpoint cannot be read.
        """

    def close(self) -> None:
        """Closes its session and files."""


@dataclasses.dataclass(frozen=True)
class MemoryNeed:
    """What a step of training has in memory at its peak.

    Attributes:
        variables: {name: bytes} of the variables that it uses.
        temporary: bytes of everything else: activations, gradients, temporary results.
    """

    variables: Mapping[str, int]
    temporary: int

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return sum(self.variables.values()) + self.temporary


class MemoryPlanner(Protocol):
    """Predicts what a step needs, and plans changes that need less."""

    def need(
        self,
        operations: "Sequence[tf.Operation]",
        results: "Sequence[tf.Operation]",
        counts: "Callable[[tf.Operation], bool]",
    ) -> MemoryNeed:
        """Returns the memory that a step of a built graph needs.

        Args:
            operations: all operations of the graph, in the order in which they were built.
            results: those that a step runs.
            counts: whether an operation's results are in the memory in question.
        """

    def changes(self, settings: Mapping[str, Any], available: int | None) -> str:
        """Returns sentences with the settings by which the run that gin describes needs less.

        Args:
            settings: the estimator's.
            available: the bytes for a step, on all devices; None: fewer than it needs.
        """


# Takes an estimator, and a function that is called before each batch and may raise.
ValidatorFactory = Callable[[Any, Callable[[], None]], Validator]


class Profiler(Protocol):
    """Reports where the time of a step of training goes."""

    def building(self) -> AbstractContextManager[None]:
        """Returns the context in which the graph of the step is built."""

    def report(self, steps: Any, step: int, batch: Sequence[int]) -> None:
        """Reports a profile: prints it, and writes it below the model's directory.

        Args:
            steps: the times and traces (`timed_steps.TimedSteps`).
            step: the last one of them.
            batch: the sizes of a batch, `[rows, length]`.
        """


ProfilerFactory = Callable[[Any], Profiler]  # Takes an estimator.

_Function = TypeVar("_Function", bound=Callable)


@dataclasses.dataclass
class _Registry:
    checks: list[Check] = dataclasses.field(default_factory=list)
    start_functions: list[StartFunction] = dataclasses.field(default_factory=list)
    explainers: list[Explainer] = dataclasses.field(default_factory=list)
    validator_factory: ValidatorFactory | None = None
    profiler_factory: ProfilerFactory | None = None
    memory_planner: MemoryPlanner | None = None


# Global because t5 forces it: `--module_import` imports a module and passes nothing to it, and
# t5's main calls `utils.run` without a parameter for callbacks.
_registry = _Registry()


def before_run(check: Check) -> Check:
    """Registers a check of the mode ("train", "perplexity_eval", ...) that raises UsageError."""
    return _add_once(_registry.checks, check)


def run_checks(mode: str) -> None:
    """Runs every check of a mode, in the order of registration."""
    for check in _registry.checks:
        check(mode)


def at_start(function: StartFunction) -> StartFunction:
    """Registers a function of the model directory, called when the training session is open."""
    return _add_once(_registry.start_functions, function)


def run_start_functions(model_dir: str) -> None:
    """Calls every function of `at_start`, in the order of registration."""
    for function in _registry.start_functions:
        function(model_dir)


def explain_with(explain: Explainer) -> Explainer:
    """Registers a function that returns a more specific RunError for an error, or None."""
    return _add_once(_registry.explainers, explain)


def explanation_of(error: Exception) -> Exception | None:
    """Returns the first registered explanation of an error, or None."""
    found = (explain(error) for explain in _registry.explainers)
    return next(filter(None, found), None)


def set_validator(make_validator: ValidatorFactory) -> None:
    """Sets what `--eval_every` evaluates during training.

    Args:
        make_validator: makes a Validator of an estimator, and of a function that is called before
            each batch and raises an exception to end the evaluation.
    """
    _registry.validator_factory = make_validator


def validator_factory() -> ValidatorFactory | None:
    """Returns the function that `set_validator` registered, or None."""
    return _registry.validator_factory


def set_profiler(make_profiler: ProfilerFactory) -> None:
    """Sets what reports the profile of `--profile`; it makes a Profiler of an estimator."""
    _registry.profiler_factory = make_profiler


def profiler_factory() -> ProfilerFactory | None:
    """Returns the function that `set_profiler` registered, or None."""
    return _registry.profiler_factory


def set_memory_planner(planner: MemoryPlanner) -> None:
    """Sets what predicts the memory of training and plans changes that need less."""
    _registry.memory_planner = planner


def memory_planner() -> MemoryPlanner | None:
    """Returns what `set_memory_planner` registered, or None."""
    return _registry.memory_planner


def command_line() -> tuple[list[str], list[str]]:
    """Returns the values of `--gin_file` and `--gin_param`; both are empty outside a command."""
    if not flags.FLAGS.is_parsed():
        return [], []
    values = (getattr(flags.FLAGS, name, None) for name in ("gin_file", "gin_param"))
    files, params = (list(value or []) for value in values)
    return files, params


def _add_once(functions: list, function: _Function) -> _Function:
    if function not in functions:
        functions.append(function)
    return function
