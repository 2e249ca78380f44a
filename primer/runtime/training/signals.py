"""Lets Ctrl-C and SIGTERM end training after the current step, and validation after a batch."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class StopRequested(Exception):
    """Ends work that writes nothing until its end, because a signal was received."""


class StopRequest:
    """A signal handler that records the first signal and raises KeyboardInterrupt at the second.

    Attributes:
        signal: the number of the first signal, or None.
        say: prints what a signal leads to, at once; None for nothing.
    """

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self.signal: int | None = None
        self.say = say
        self._raises = False

    @property
    def requested(self) -> bool:
        """Whether a signal was received."""
        return self.signal is not None

    @property
    def name(self) -> str:
        """The name of the signal, which is "Ctrl-C" for SIGINT; "" if none was received."""
        return "" if self.signal is None else _name_of(self.signal)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal: the first one ends training after the step, the second one at once."""
        del frame
        if self.requested:
            raise KeyboardInterrupt
        self.signal = number
        if self._raises:
            raise StopRequested

    def check(self) -> None:
        """Raises StopRequested if a signal was received: between two parts of long work."""
        if self.requested:
            raise StopRequested

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Inside the block, which must only read, a signal raises StopRequested at any point."""
        self.check()
        self._raises = True
        try:
            yield
        finally:
            self._raises = False

    @contextlib.contextmanager
    def saying(self, say: Callable[[str], None]) -> Iterator[None]:
        """Inside the block `say` has another value, as that of a line which is rewritten."""
        before, self.say = self.say, say
        try:
            yield
        finally:
            self.say = before


def _name_of(number: int) -> str:
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


@contextlib.contextmanager
def stop_on_signals(say: Callable[[str], None] | None = None) -> Iterator[StopRequest]:
    """Handles SIGINT and SIGTERM inside the block with the StopRequest that it yields.

    Python allows signal handlers only in the main thread; in another thread none is installed.

    Args:
        say: the request's `say`; it is called in a thread of its own.
    """
    stop_request = StopRequest(say)
    if threading.current_thread() is not threading.main_thread():
        yield stop_request
        return
    before = {number: signal.signal(number, stop_request) for number in _NUMBERS}
    try:
        with _announced(stop_request) if say else contextlib.nullcontext():
            yield stop_request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _announced(stop_request: StopRequest) -> Iterator[None]:
    """Inside the block a thread says at once that a signal was received, and what it leads to.

    Python calls the handler of a signal when the main thread is back from TensorFlow, which may be
    minutes later; the number of the signal is in the pipe of `set_wakeup_fd` before.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    thread = threading.Thread(target=_announce_first, args=(reader, stop_request), daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writer)
        thread.join()
        os.close(reader)


def _announce_first(reader: int, stop_request: StopRequest) -> None:
    """Reads the numbers of signals until the pipe is closed, and says the first one."""
    is_said = False
    while numbers := os.read(reader, 64):
        found = [number for number in numbers if number in _NUMBERS]
        if found and not is_said and stop_request.say:
            is_said = True
            stop_request.say(
                f"{_name_of(found[0])}: what is under way, as a step, ends first; then a "
                "checkpoint is saved and the run ends."
            )
