"""Ctrl-C and SIGTERM end training after the step that is running, not in its middle."""

import contextlib
import signal
import threading


class Stop:
    """Whether a stop was asked for, and by which signal."""

    def __init__(self):
        self.signal = None

    @property
    def requested(self) -> bool:
        return self.signal is not None

    @property
    def name(self) -> str:
        """ "Ctrl-C" or the name of the signal."""
        return "Ctrl-C" if self.signal == signal.SIGINT else signal.Signals(self.signal).name

    def __call__(self, number, frame):
        del frame
        if self.requested:  # The second one does not wait.
            raise KeyboardInterrupt
        self.signal = number


@contextlib.contextmanager
def on_signals():
    """Catches both signals inside the block; elsewhere than in the main thread it cannot."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
