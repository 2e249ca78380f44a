"""How often a run, or an evaluation, goes on after its worker was lost."""

import collections

MOST = 3


class Retries:
    """Counts the lost workers of each run and of each evaluation.

    Args:
        most: after how many losses it still goes on.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._losses: collections.Counter[str] = collections.Counter()

    def count(self, name: str, lost: str) -> tuple[bool, str]:
        """Counts a loss.

        Args:
            name: what ran.
            lost: why its worker was lost.

        Returns:
            Whether it is to go on, and a message.
        """
        self._losses[name] += 1
        is_left = self._losses[name] <= self._most
        if is_left:
            then = f"it goes on on another one (retry {self._losses[name]} of {self._most})"
        else:
            then = f"no retry is left (--retries {self._most})"
        return is_left, f"{name}: its worker was lost: {lost}; {then}"

    def has_lost(self, name: str) -> bool:
        """Returns whether it was running on a worker that was lost."""
        return name in self._losses
