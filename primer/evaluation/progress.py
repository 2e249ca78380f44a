"""Live progress lines of an evaluation; nothing is shown where there is no terminal."""

from primer.common.live_line import LiveLine


class Progress(LiveLine):
    """Shows the share of a known number of tokens that is done, and the speed.

    Args:
        label: what is being evaluated.
        tokens: the number of tokens in all.
    """

    def __init__(self, label: str, tokens: int) -> None:
        super().__init__(plain=False)
        self._label = label
        self._tokens = tokens

    def __call__(self, share: float) -> None:
        """Updates the line with the share that is done, between 0 and 1."""
        if self.is_due():
            speed = share * self._tokens / max(self.seconds, 1e-9)
            self.show(f"{self._label}  evaluating {share:4.0%}  {speed:,.0f} tokens/s")


class TokenCounter(LiveLine):
    """Counts scored tokens whose total is not known, and shows the count and the speed.

    Args:
        label: what is being scored.

    Attributes:
        tokens: the number of tokens scored so far.
    """

    def __init__(self, label: str) -> None:
        super().__init__(plain=False)
        self._label = label
        self.tokens = 0

    def add(self, tokens: int) -> None:
        """Adds a number of scored tokens."""
        self.tokens += tokens
        if self.is_due():
            speed = self.tokens / max(self.seconds, 1e-9)
            self.show(f"{self._label}  scored {self.tokens:,} tokens, {speed:,.0f} tokens/s")
