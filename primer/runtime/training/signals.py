"""Lets Ctrl-C and SIGTERM end training after the current step, and validation after a batch."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequested(Exception):
    """Ends work that writes nothing until its end, because a signal was received."""


class StopRequest:
    """A signal handler that records the first signal and raises KeyboardInterrupt at the second.

    Attributes:
        signal: the number of the first signal, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._raises = False

    @property
    def requested(self) -> bool:
        """Whether a signal was received."""
        return self.signal is not None

    @property
    def name(self) -> str:
        """The name of the signal, which is "Ctrl-C" for SIGINT; "" if none was received."""
        if self.signal is None:
            return ""
        return "Ctrl-C" if self.signal == signal.SIGINT else signal.Signals(self.signal).name

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
def stop_on_signals() -> Iterator[StopRequest]:
    """Handles SIGINT and SIGTERM inside the block with the StopRequest that it yields.

    Python allows signal handlers only in the main thread; in another thread none is installed.
    """
    stop_request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop_request
        return
    before = {
        number: signal.signal(number, stop_request) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop_request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
