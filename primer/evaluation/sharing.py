"""Text, scorer and results that the evaluations of one `primer eval` command share.

Each model directory has its own gin configuration. Two directories share the text of a split if
task, split and vocabulary are equal and so are all bindings of configurables that may affect data.
They share a scorer if its key is equal: what decides the model's function, and the shapes of its
variables.
"""

import contextlib
import contextvars
import copy
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # These import TensorFlow, and `primer eval --help` does not.
    from primer.evaluation.protocols import Protocol
    from primer.evaluation.scorer import Scorer
    from primer.evaluation.tokenized_split import TokenizedSplit

# Modules whose configurables do not affect the text of a split. A module that is not in the list,
# such as one of the user's own (--module_import), counts as affecting it.
_NOT_TEXT = (
    *("mesh_tensorflow", "primer.common.random_seed", "primer.evaluation", "primer.generation"),
    *("primer.layers", "primer.planning", "primer.runtime", "t5.models"),
)


class SharedEvaluation:
    """The last text and the last scorer, with their keys, and the rows of all directories.

    Attributes:
        rows: the rows of all directories, in the order in which they were found.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._text_key: Any = None  # One of each at a time, to bound the memory.
        self._text: TokenizedSplit | None = None
        self._scorer_key: Any = None
        self._scorer: Scorer | None = None

    def text(self, key: Any, read: Callable[[], "TokenizedSplit"]) -> "TokenizedSplit":
        """Returns the last text if its key is equal, else the result of `read()`."""
        if self._text is None or self._text_key != key:
            self._text = None  # Frees its memory before the next one is read.
            self._text, self._text_key = read(), key
        return self._text

    def scorer(self, key: Any, make: Callable[[], "Scorer"]) -> "Scorer":
        """Returns the last scorer if its key is equal, else closes it and returns `make()`."""
        if self._scorer is None or self._scorer_key != key:
            self.close()
            self._scorer, self._scorer_key = make(), key
        return self._scorer

    def close(self) -> None:
        """Closes the session of the last scorer."""
        if self._scorer is not None:
            self._scorer.close()
        self._scorer = None


# The only hidden state of this room. The command calls t5's main, which calls `utils.run`, which
# calls `evaluate_checkpoints` with the arguments that gin binds: no argument can carry an object
# from the command to the evaluation.
_current: contextvars.ContextVar[SharedEvaluation | None] = contextvars.ContextVar(
    "shared_evaluation", default=None
)


@contextlib.contextmanager
def shared_evaluation() -> Iterator[SharedEvaluation]:
    """A context in which evaluations share text and scorer and collect their rows."""
    shared = SharedEvaluation()
    token = _current.set(shared)
    try:
        yield shared
    finally:
        _current.reset(token)
        shared.close()


def collect_rows(rows: Iterable[dict[str, Any]]) -> None:
    """Adds the rows of a directory to those of the current `shared_evaluation`, if there is one."""
    shared = _current.get()
    if shared is not None:
        shared.rows.extend(rows)


def shared_split(protocol: "Protocol", task: str, split: str, length: int) -> "TokenizedSplit":
    """Returns the text that a protocol scores of a split: that of the last directory, or read now.

    The arguments are the protocol and those of its `read_split`.
    """

    def read():
        return protocol.read_split(task, split, length)

    shared = _current.get()
    # The rows of as_released come from the training pipeline, which more settings affect; the masks
    # of masked depend on the length, and what transformer_xl scores on its columns.
    if shared is None or protocol.name in ("as_released", "masked", "transformer_xl"):
        return read()
    return shared.text(_text_key(task, split), read)


@contextlib.contextmanager
def shared_scorer(make: Callable[[], "Scorer"], key: Any) -> Iterator["Scorer"]:
    """A context with the scorer of the last directory if its key is equal, else with `make()`.

    Outside of `shared_evaluation` the scorer is closed at the end of the block.

    Args:
        make: makes a scorer.
        key: equal for two scorers of the same graph, which may restore each other's checkpoints.
    """
    shared = _current.get()
    if shared is not None:
        yield shared.scorer(key, make)
        return
    with contextlib.closing(make()) as scorer:
        yield scorer


def _text_key(task, split):
    """Equal for two gin configurations under which a split has the same text and tokens."""
    from primer.checkpoints.description import model_description
    from primer.data import preflight

    vocabulary = preflight.find_task(task).output_features["targets"].vocabulary
    return (
        task,
        split,
        str(model_description.describe_vocabulary(vocabulary)),
        _bindings_outside(_NOT_TEXT),
    )


def _bindings_outside(modules):
    """Sorted (scope, selector, name, repr of value) of gin's bindings outside of the modules."""
    from primer.gin_config import gin_state

    return sorted(
        (scope, selector, name, _resolved(value))
        for (scope, selector), values in gin_state.bindings().items()
        if _is_outside(gin_state.configurable_named(selector), modules)
        for name, value in values.items()
    )


def _resolved(value):
    """The repr of a bound value, with macros and references resolved as by a call."""
    try:
        return repr(copy.deepcopy(value))
    except ValueError:  # A size that is not set, of a part that the model does not have.
        return repr(value)


def _is_outside(configurable, modules):
    """Whether a configurable is defined in none of the modules."""
    if configurable is None or configurable.selector in ("gin.macro", "gin.constant"):
        return False  # Macros count where they are used.
    module = configurable.wrapped.__module__
    return not any(module == name or module.startswith(name + ".") for name in modules)
