"""One progress line of a long operation: rewritten in place on a terminal, else printed rarely."""

import contextlib
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from primer.common import console

if TYPE_CHECKING:
    from rich.live import Live

LIVE_SECONDS = 0.25
PLAIN_SECONDS = 30

_Line = TypeVar("_Line", bound="LiveLine")


class LiveLine:
    """A line on the terminal, as a context; the caller decides what it shows.

    Args:
        plain: whether lines are printed where there is no terminal, at most one in PLAIN_SECONDS.
        transient: whether the line vanishes at the end.
    """

    def __init__(self, plain: bool = True, transient: bool = True) -> None:
        self._plain = plain
        self._transient = transient
        self._live: Live | None = None

    def __enter__(self: _Line) -> _Line:
        self._began = self._shown = time.monotonic()
        if console.terminal().isatty():
            self._start_live()
        return self

    def _start_live(self):
        from rich.console import Console
        from rich.live import Live

        terminal = Console(file=console.terminal())
        # What others write to standard error goes where it is captured, not above the line.
        self._live = Live(
            console=terminal,
            auto_refresh=False,
            transient=self._transient,
            redirect_stderr=False,
        )
        self._live.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Removes the line from the terminal during a block that shows lines of its own."""
        live, self._live = self._live, None
        if live is None:
            yield
            return
        live.transient = True
        live.stop()
        try:
            yield
        finally:
            self._start_live()

    @property
    def is_live(self) -> bool:
        """Whether the line is rewritten in place on a terminal."""
        return self._live is not None

    @property
    def seconds(self) -> float:
        """Seconds since the context was entered."""
        return time.monotonic() - self._began

    def is_due(self, last: bool = False) -> bool:
        """Returns whether to show the next line now; a last one is due wherever lines are shown."""
        if self._live is None and not self._plain:
            return False
        now = time.monotonic()
        if now - self._shown < (LIVE_SECONDS if self._live else PLAIN_SECONDS) and not last:
            return False
        self._shown = now
        return True

    def show(self, line: str) -> None:
        """Writes the line, on a terminal in place of the one before."""
        if self._live:
            self._live.update(line, refresh=True)
        else:
            console.say(line)

    def say(self, message: str) -> None:
        """Prints another message above the line."""
        if self._live:
            self._live.console.print(message, highlight=False, soft_wrap=True)
        else:
            console.say(message)
