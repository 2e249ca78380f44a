"""Where messages go: people's lines to the terminal, TensorFlow's flood to `train.log`.

TensorFlow writes to file descriptor 2 from C++, absl and Python's logging from Python. Both are
pointed at a file for the time of a run; what Primer itself has to say goes to the real terminal.
`--verbosity=1` leaves everything where it was.
"""

import atexit
import contextlib
import functools
import logging
import os
import sys
import tempfile

# No TensorFlow up here: `capture_startup` comes before its import.

LOG_NAME = "train.log"

_terminal = []  # The streams for people, while descriptor 2 points elsewhere.
_early = []  # The file that descriptor 2 points at before a run's own log is known.


def terminal():
    """The stream for people: standard error as it was before a run pointed it elsewhere."""
    return _terminal[-1] if _terminal else sys.stderr


def say(message):
    """Prints one message for people; standard output is left to results."""
    print(message, file=terminal(), flush=True)


@functools.cache
def say_once(message):
    """The same, and nothing where this process has said it already."""
    say(message)


def verbose() -> bool:
    """Whether the user asked for TensorFlow's own messages."""
    from absl import flags

    return flags.FLAGS.is_parsed() and getattr(flags.FLAGS, "verbosity", 0) >= 1


def capture_startup():
    """Keeps what is written to descriptor 2 until `redirected_to_log` knows the log of the run.

    TensorFlow's C++ part writes a dozen lines while it is imported, gin and absl write more.
    Where the process ends before there is a log, all of it goes to the terminal after all, so
    that no traceback is lost.
    """
    if _early or "tensorflow" in sys.modules:
        return
    try:
        stream = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="replace")
        captured = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        os.dup2(captured.fileno(), 2)
    except OSError:  # No standard error at all: nothing to keep off it.
        return
    _early.append(captured)
    _terminal.append(stream)
    atexit.register(_release, to_terminal=True)


def discard_startup():
    """Forgets what was captured: the one line that matters has been said."""
    _release(to_terminal=False)


def _release(to_terminal) -> str:
    """Ends the early capture; returns its text."""
    if not _early:
        return ""
    captured, stream = _early.pop(), _terminal.pop()
    sys.stderr.flush()
    os.dup2(stream.fileno(), 2)
    captured.seek(0)
    text = captured.read()
    if to_terminal:
        stream.write(text)
    stream.close()
    return text


@contextlib.contextmanager
def redirected_to_log(model_dir, mode):
    """Sends the flood to `model_dir/train.log` (`<mode>.log` for other modes) inside the block."""
    early = _release(to_terminal=verbose())
    if verbose() or _terminal:
        yield
        return
    name = LOG_NAME if mode == "train" else f"{mode}.log"
    with _log_file(model_dir, name) as log:
        log.write(early)
        with _python_logs_to(log), _descriptor_to(log):
            yield


@contextlib.contextmanager
def _log_file(model_dir, name):
    """A local file; for a remote directory its content is copied there at the end.

    Without a directory (a host that only serves) the log is thrown away.
    """
    if model_dir is None:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
            yield log
        return
    import tensorflow.compat.v1 as tf

    path = os.path.join(model_dir, name)
    tf.io.gfile.makedirs(model_dir)
    if "://" not in str(model_dir):
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
    """Swaps the handlers of the loggers that absl and TensorFlow write to."""
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
    """Points descriptor 2 and `sys.stderr` at the log, and keeps the terminal for `say`."""
    sys.stderr.flush()
    kept = os.dup(2)
    stream = os.fdopen(kept, "w", buffering=1, encoding="utf-8", errors="replace")
    before = sys.stderr
    os.dup2(log.fileno(), 2)
    sys.stderr = stream  # A traceback belongs on the terminal.
    _terminal.append(stream)
    try:
        yield
    finally:
        _terminal.pop()
        sys.stderr = before
        stream.flush()
        os.dup2(kept, 2)
        stream.close()
