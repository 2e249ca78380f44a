"""How far the scoring of documents is, when nobody knows how many there are."""

import time

from primer.evaluation import progress


class Counting(progress.Progress):
    """Shows on a terminal how many tokens were scored, and the speed.

    Args:
      label: what is being scored.

    Attributes:
      tokens: how many were scored.
    """

    def __init__(self, label):
        super().__init__(label, 0)
        self.tokens = 0

    def add(self, tokens):
        """Takes a number of tokens that were scored."""
        self.tokens += tokens
        now = time.monotonic()
        if self._live is None or now - self._shown < progress.SECONDS:
            return
        self._shown = now
        speed = self.tokens / max(self.seconds, 1e-9)
        self._live.update(
            f"{self._label}  scored {self.tokens:,} tokens, {speed:,.0f} a second", refresh=True
        )

    @property
    def seconds(self) -> float:
        """Since the first token was asked for."""
        return time.monotonic() - self._began
