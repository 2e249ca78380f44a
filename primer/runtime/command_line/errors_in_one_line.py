"""Ends a command with a one-line message instead of a traceback, for errors a user can correct."""

import re
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType

import tensorflow.compat.v1 as tf

from primer.common import console
from primer.errors import RunError, UsageError
from primer.runtime import callbacks

# TensorFlow keeps of an error in a pipeline's Python function its class and message.
_ERROR_IN_PIPELINE = re.compile(r"\b(UsageError|RunError): (.+)")


class OneLineErrors:
    """A context that prints the message of a UsageError or RunError and exits with its code.

    A ValueError that a layer raises about its settings is treated as a UsageError.
    """

    def __enter__(self) -> "OneLineErrors":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for cause in _causes(error):
            if isinstance(cause, tf.errors.DataLossError):
                cause = callbacks.explanation_of(cause) or cause
            cause = _error_in_pipeline(cause) or cause
            if isinstance(cause, (UsageError, RunError)) or _was_raised_by_layer(cause):
                # gin appends lines about the configurable that raised the error.
                console.say(f"primer: {str(cause).splitlines()[0]}")
                console.discard_startup()
                sys.exit(getattr(cause, "exit_code", UsageError.exit_code))


def _error_in_pipeline(error: BaseException) -> Exception | None:
    """Returns our error that a function of an input pipeline raised, or None."""
    found = isinstance(error, tf.errors.UnknownError) and _ERROR_IN_PIPELINE.search(str(error))
    if not found:
        return None
    return (UsageError if found[1] == "UsageError" else RunError)(found[2])


def _was_raised_by_layer(error: BaseException) -> bool:
    """Whether one of our layers, or a check that it called, raised this ValueError."""
    if not isinstance(error, ValueError) or error.__traceback__ is None:
        return False
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    names = [frame.f_globals.get("__name__", "") for frame in frames]
    while names[-1:] == ["primer.common.checks"]:
        names.pop()
    return bool(names) and names[-1].startswith("primer.layers")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields the error and its causes: gin wraps an error raised inside a configurable."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
