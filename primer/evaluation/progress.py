"""How far an evaluation is: a live line on a terminal, nothing elsewhere."""

from primer.common.live_line import LiveLine


class Progress(LiveLine):
    """Shows the share that is done and the speed.

    Args:
        label: what is being evaluated.
        tokens: how many there are in all.
    """

    def __init__(self, label, tokens):
        super().__init__(plain=False)
        self._label = label
        self._tokens = tokens

    def __call__(self, share):
        """Takes the share that is done, between 0 and 1."""
        if self.is_due():
            speed = share * self._tokens / max(self.seconds, 1e-9)
            self.show(f"{self._label}  evaluating {share:4.0%}  {speed:,.0f} tokens/s")


class Counting(LiveLine):
    """Shows how many tokens were scored, and the speed, where nobody knows how many there are.

    Args:
        label: what is being scored.

    Attributes:
        tokens: how many were scored.
    """

    def __init__(self, label):
        super().__init__(plain=False)
        self._label = label
        self.tokens = 0

    def add(self, tokens):
        """Takes a number of tokens that were scored."""
        self.tokens += tokens
        if self.is_due():
            speed = self.tokens / max(self.seconds, 1e-9)
            self.show(f"{self._label}  scored {self.tokens:,} tokens, {speed:,.0f} a second")
