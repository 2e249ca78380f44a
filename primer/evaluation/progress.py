"""How far an evaluation is: a live line on a terminal, nothing elsewhere."""

import time

from primer.runtime import logs

SECONDS = 0.25


class Progress:
    """Shows the share that is done and the speed.

    Args:
      label: what is being evaluated.
      tokens: how many there are in all.
    """

    def __init__(self, label, tokens):
        self._label = label
        self._tokens = tokens
        self._live = None

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

    def __call__(self, share):
        """Takes the share that is done, between 0 and 1."""
        now = time.monotonic()
        if self._live is None or now - self._shown < SECONDS:
            return
        self._shown = now
        speed = share * self._tokens / max(now - self._began, 1e-9)
        self._live.update(
            f"{self._label}  evaluating {share:4.0%}  {speed:,.0f} tokens/s", refresh=True
        )
