"""Work in a thread, of which at most one is under way, and whose error the main thread raises."""

import threading
from collections.abc import Callable


class Background:
    """Runs one piece of work after another in threads.

    The threads do not keep the process from ending: at a second Ctrl-C the work is given up.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, work: Callable[[], None]) -> None:
        """Starts work in a thread; the work before has to be waited for first."""
        assert self._thread is None, "the work before was not waited for"
        self._error = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work):
        try:
            work()
        except BaseException as error:  # The main thread raises it.
            self._error = error

    def has_ended(self) -> bool:
        """Whether there is work that has ended and was not waited for."""
        return self._thread is not None and not self._thread.is_alive()

    def wait(self) -> None:
        """Waits for the end of the work, if there is any, and raises its error."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        thread.join()
        if self._error is not None:
            raise self._error
