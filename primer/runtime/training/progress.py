"""Progress of training: a live line on a terminal, a plain line every 30 seconds elsewhere."""

import time

from primer.common import input_progress
from primer.common.live_line import LiveLine


class Progress(LiveLine):
    """Shows step, loss, tokens per second, epoch and remaining time."""

    def __init__(
        self,
        start: int,
        goal: int,
        tokens: int,
        reading: input_progress.InputProgress | None = None,
        full_speed: float | None = None,
    ) -> None:
        """Stores the extent of the run; entering the context shows the line.

        Args:
            start, goal: the first and the last step.
            tokens: tokens per step, padding included.
            reading: what the input pipeline reports of its epochs.
            full_speed: the tokens per second of a utilization of 1 (`run_cost`), or None.
        """
        super().__init__(transient=False)
        self._start = start
        self._goal = goal
        self._tokens = tokens
        self._reading = reading or input_progress.InputProgress()
        self._full_speed = full_speed
        self._first_end: tuple[int, float] | None = None  # (step, seconds)

    def update(self, step: int, loss: float) -> None:
        """Updates the line after a step; `loss` is in nats per position."""
        now = time.monotonic()
        for line in self._reading.epoch_messages(step * self._tokens):
            self.say(line)
        if self._first_end is None:
            # The speed is measured from the end of the first step, which includes TensorFlow's
            # preparation of the graph.
            self._first_end = (step, now)
        if self.is_due(last=step == self._goal):
            self.show(self._line(step, loss, now))

    def _line(self, step, loss, now):
        first_step, first_time = self._first_end
        steps = step - first_step
        rate = steps / max(now - first_time, 1e-9) if steps else 1 / max(self.seconds, 1e-9)
        left = (self._goal - step) / rate
        parts = [
            f"step {step:,}/{self._goal:,}",
            f"loss {loss:.4f}",
            f"{_short(rate * self._tokens)} tokens/s",
            self._utilization(rate * self._tokens if steps else None),
            self._reading.describe_epochs(step * self._tokens),
            f"{_duration(left)} left",
        ]
        return "  ".join(filter(None, parts))

    def _utilization(self, speed):
        """Describes a speed in tokens per second; "" before it is known or without a full speed."""
        if not speed or not self._full_speed:
            return ""
        return f"{speed / self._full_speed:.1%} utilization"


def _short(number: float) -> str:
    """Formats a number with a unit prefix: 1234567 -> "1.2M"."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0f}"


def _duration(seconds: float) -> str:
    """Formats seconds: 3725 -> "1:02:05"."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
