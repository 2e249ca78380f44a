"""One line about long work: written again and again on a terminal, now and then elsewhere."""

import time

from primer.common import console as logs

LIVE_SECONDS = 0.25
PLAIN_SECONDS = 30


class LiveLine:
    """A line on the terminal for people; what shows it decides when it is due and what it says.

    Args:
        plain: whether lines are printed where there is no terminal, at most one in PLAIN_SECONDS.
        transient: whether the line vanishes at the end.
    """

    def __init__(self, plain=True, transient=True):
        self._plain = plain
        self._transient = transient
        self._live = None

    def __enter__(self):
        self._began = self._shown = time.monotonic()
        if logs.terminal().isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(file=logs.terminal())
            self._live = Live(console=console, auto_refresh=False, transient=self._transient)
            self._live.start()
        return self

    def __exit__(self, *error):
        if self._live:
            self._live.stop()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def is_due(self, last=False) -> bool:
        """Whether it is time for the next line; a last one always is, where any is shown."""
        if self._live is None and not self._plain:
            return False
        now = time.monotonic()
        if now - self._shown < (LIVE_SECONDS if self._live else PLAIN_SECONDS) and not last:
            return False
        self._shown = now
        return True

    def show(self, line):
        """Writes the line."""
        if self._live:
            self._live.update(line, refresh=True)
        else:
            logs.say(line)

    def say(self, message):
        """Prints something else without breaking the line."""
        if self._live:
            self._live.console.print(message, highlight=False, soft_wrap=True)
        else:
            logs.say(message)
