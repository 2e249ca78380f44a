"""Functions that other rooms add to a run: before it, when training starts, and on an error.

The runtime may not import data, evaluation and planning. Their `runtime_callbacks` modules add what
they have to check or to say, and `t5_imports` imports these modules.
"""

from collections.abc import Callable

from absl import flags

_before_run: list[Callable[[str], None]] = []
_at_start: list[Callable[[str], None]] = []
_explanations: list[Callable[[Exception], Exception | None]] = []


def before_run(check: Callable[[str], None]) -> Callable[[str], None]:
    """Adds a check of the mode ("train", "perplexity_eval", ...) that raises UsageError."""
    return _add(_before_run, check)


def run_before(mode: str) -> None:
    """Runs every check before the long work, in the order in which they were added."""
    for check in _before_run:
        check(mode)


def at_start(function: Callable[[str], None]) -> Callable[[str], None]:
    """Adds a function of the model directory for the time between the graph and the first step."""
    return _add(_at_start, function)


def run_at_start(model_dir: str) -> None:
    """Runs every function of `at_start`, in the order in which they were added."""
    for function in _at_start:
        function(model_dir)


def explain_with(
    explain: Callable[[Exception], Exception | None],
) -> Callable[[Exception], Exception | None]:
    """Adds a function of an error that returns a RunError that says more, or None."""
    return _add(_explanations, explain)


def explained(error: Exception) -> Exception | None:
    """What the first function that knows an error makes of it; None where no function does."""
    found = (explain(error) for explain in _explanations)
    return next(filter(None, found), None)


def _add(functions, function):
    if function not in functions:
        functions.append(function)
    return function


def command_line() -> tuple[list, list]:
    """The gin files and the texts of `--gin_param` that the run was given.

    Returns:
        (list, list); both are empty in a notebook, whose bindings have no place in a file.
    """
    if not flags.FLAGS.is_parsed():
        return [], []
    values = (getattr(flags.FLAGS, name, None) for name in ("gin_file", "gin_param"))
    files, params = (list(value or []) for value in values)
    return files, params
