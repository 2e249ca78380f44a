"""Where messages go: Primer's own to the terminal, TensorFlow's log output to `train.log`.

TensorFlow writes to file descriptor 2 from C++, absl and Python's logging write from Python. During
a run both are redirected to a file, which also gets the progress of training; Primer's own messages
still reach the terminal. With `--verbosity=1` nothing is redirected.
"""

import atexit
import contextlib
import functools
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import TextIO

from primer.common import user_paths

# TensorFlow is imported inside functions only: `capture_startup` has to run before its import.

LOG_NAME = "train.log"


class _StandardError:
    """The redirections of file descriptor 2: one object, because a process has one descriptor 2.

    Attributes:
        terminals: streams to the terminal, the innermost redirection's last; empty without one.
        startup: the file that takes descriptor 2 until the run's own log is known, or None.
    """

    def __init__(self) -> None:
        self.terminals: list[TextIO] = []
        self.startup: TextIO | None = None


_stderr = _StandardError()


def terminal() -> TextIO:
    """Returns the stream for messages to people: standard error as it was before a redirection."""
    return _stderr.terminals[-1] if _stderr.terminals else sys.stderr


def say(message: str) -> None:
    """Prints a message on the terminal; standard output is reserved for results."""
    print(message, file=terminal(), flush=True)


@functools.cache
def say_once(message: str) -> None:
    """Prints a message unless this process has printed it already."""
    say(message)


def log(message: str) -> None:
    """Writes a message, with its time, to the run's log; nothing if there is none."""
    if _stderr.terminals:
        logger = logging.getLogger("primer")
        logger.setLevel(logging.INFO)
        logger.info(message)


def verbose() -> bool:
    """Returns whether the user has set --verbosity to show TensorFlow's own messages."""
    from absl import flags

    return flags.FLAGS.is_parsed() and getattr(flags.FLAGS, "verbosity", 0) >= 1


def capture_startup() -> None:
    """Captures what is written to descriptor 2 until `redirected_to_log` opens the run's log.

    TensorFlow's C++ part writes a dozen lines while it is imported, gin and absl write more. If the
    process ends before there is a log, the captured text is written to the terminal, so that no
    traceback is lost.
    """
    if _stderr.startup or "tensorflow" in sys.modules:
        return
    try:
        stream = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="replace")
        captured = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        os.dup2(captured.fileno(), 2)
    except OSError:  # The process has no standard error.
        return
    _stderr.startup = captured
    _stderr.terminals.append(stream)
    atexit.register(_end_startup, to_terminal=True)


def discard_startup() -> None:
    """Discards the captured text and ends the capture."""
    _end_startup(to_terminal=False)


def _end_startup(to_terminal: bool) -> str:
    """Ends the capture of `capture_startup`; returns the captured text."""
    if not _stderr.startup:
        return ""
    captured, stream = _stderr.startup, _stderr.terminals.pop()
    _stderr.startup = None
    sys.stderr.flush()
    os.dup2(stream.fileno(), 2)
    captured.seek(0)
    text = captured.read()
    if to_terminal:
        stream.write(text)
    stream.close()
    return text


@contextlib.contextmanager
def redirected_to_log(model_dir: str | os.PathLike | None, mode: str) -> Iterator[None]:
    """Redirects descriptor 2 and Python's logging to a log file inside the block.

    Args:
        model_dir: the log's folder, local or remote; None discards the log.
        mode: the run's mode; the file is `train.log` for "train" and `<mode>.log` for others.
    """
    startup = _end_startup(to_terminal=verbose())
    if verbose() or _stderr.terminals:
        yield
        return
    name = LOG_NAME if mode == "train" else f"{mode}.log"
    with _log_file(model_dir, name) as log:
        log.write(startup)
        with _python_logs_to(log), _descriptor_to(log):
            yield


@contextlib.contextmanager
def _log_file(model_dir, name):
    """Yields a local file; the log of a remote directory is copied there at the end.

    Without a directory (a host that only serves) the log is discarded.
    """
    if model_dir is None:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
            yield log
        return
    import tensorflow.compat.v1 as tf

    path = os.path.join(model_dir, name)
    tf.io.gfile.makedirs(model_dir)
    if not user_paths.is_remote(str(model_dir)):
        with open(path, "a", buffering=1, encoding="utf-8") as log:
            yield log
        return
    with tempfile.NamedTemporaryFile("w+", suffix=name, buffering=1, encoding="utf-8") as log:
        try:
            yield log
        finally:
            log.flush()
            with open(log.name, encoding="utf-8") as written, tf.io.gfile.GFile(path, "a") as out:
                out.write(written.read())


@contextlib.contextmanager
def _python_logs_to(log):
    """Replaces the handlers of the loggers that absl and TensorFlow use."""
    handler = logging.StreamHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    loggers = [logging.getLogger(name) for name in (None, "absl", "tensorflow")]
    before = [(logger, logger.handlers[:]) for logger in loggers]
    for logger in loggers:
        logger.handlers[:] = []
    loggers[0].handlers[:] = [handler]
    try:
        yield
    finally:
        for logger, handlers in before:
            logger.handlers[:] = handlers


@contextlib.contextmanager
def _descriptor_to(log):
    """Redirects descriptor 2 to the log; `sys.stderr` and `say` keep writing to the terminal."""
    sys.stderr.flush()
    kept = os.dup(2)
    stream = os.fdopen(kept, "w", buffering=1, encoding="utf-8", errors="replace")
    before = sys.stderr
    os.dup2(log.fileno(), 2)
    sys.stderr = stream  # A traceback belongs on the terminal.
    _stderr.terminals.append(stream)
    try:
        yield
    finally:
        _stderr.terminals.pop()
        sys.stderr = before
        stream.flush()
        os.dup2(kept, 2)
        stream.close()
