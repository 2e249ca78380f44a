"""How much text has been read: a live line on a terminal, a plain line now and then elsewhere."""

import time

from primer.runtime import logs

LIVE_SECONDS = 0.25
PLAIN_SECONDS = 30


class ReadingShown:
    """Counts documents and bytes, and shows them.

    Args:
        label: what is being read.

    Attributes:
        documents, bytes: what was read.
    """

    def __init__(self, label):
        self._label = label
        self._live = None
        self.documents = self.bytes = 0

    def __enter__(self):
        self._began = self._shown = time.monotonic()
        if logs.terminal().isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(file=logs.terminal())
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *error):
        if self._live:
            self._live.stop()

    def of(self, texts):
        """The same texts, counted and shown as they are taken."""
        for text in texts:
            self.add(1, len(text))
            yield text

    def add(self, documents, size):
        """Counts documents of so many bytes in all that were read."""
        self.documents += documents
        self.bytes += size
        self._show()

    def _show(self):
        now = time.monotonic()
        if now - self._shown < (LIVE_SECONDS if self._live else PLAIN_SECONDS):
            return
        self._shown = now
        line = (
            f"{self._label}  {self.documents:,} documents  {self.bytes / 1e6:,.1f} MB  "
            f"{self.bytes / 1e6 / (now - self._began):,.1f} MB/s"
        )
        if self._live:
            self._live.update(line, refresh=True)
        else:
            logs.say(line)
