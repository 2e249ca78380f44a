"""Progress of training: a live line on a terminal, a plain line every 30 seconds elsewhere.

The log of the run gets the plain lines in both cases.
"""

import time
from collections.abc import Iterable, Mapping

from primer.common import console, input_progress, live_line

# What is shown of a step's measures, if it has them: those of an optimizer, by the name of their
# events. A live line has the first two.
_MEASURES = {
    "learning_rate": "lr {:.1e}",
    "gradient_norm": "grad {:.3g}",
    "weight_norm": "weights {:.4g}",
    "update_ratio": "update/weights {:.1e}",
}
_LIVE_MEASURES = ("learning_rate", "gradient_norm")


class Progress(live_line.LiveLine):
    """Shows step, loss, learning rate, norms, tokens per second, epoch and remaining time."""

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
        self._last_logged = time.monotonic()

    def update(self, step: int, loss: float, measures: Mapping[str, float] | None = None) -> None:
        """Updates the line after a step.

        Args:
            step: the step that has ended.
            loss: its loss in nats per position.
            measures: further numbers of the step. Shown are "learning_rate", "gradient_norm" (L2,
                before clipping), "weight_norm" (L2) and "update_ratio" (of the update's norm to
                the weights'); a line on a terminal has the first two.
        """
        now = time.monotonic()
        for line in self._reading.epoch_messages(step * self._tokens):
            self.say(line)
        if self._first_end is None:
            # The speed is measured from the end of the first step, which includes TensorFlow's
            # preparation of the graph.
            self._first_end = (step, now)
        last = step == self._goal
        if self.is_due(last):
            names = _LIVE_MEASURES if self.is_live else _MEASURES
            self.show(self._line(step, loss, _described(measures or {}, names), now))
        if last or now - self._last_logged >= live_line.PLAIN_SECONDS:
            self._last_logged = now
            console.log(self._line(step, loss, _described(measures or {}, _MEASURES), now))

    def _line(self, step, loss, measures, now):
        first_step, first_time = self._first_end
        steps = step - first_step
        rate = steps / max(now - first_time, 1e-9) if steps else 1 / max(self.seconds, 1e-9)
        left = (self._goal - step) / rate
        parts = [
            f"step {step:,}/{self._goal:,}",
            f"loss {loss:.4f}",
            measures,
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


def _described(measures: Mapping[str, float], names: Iterable[str]) -> str:
    """Describes the named measures of a step: "lr 6.0e-04  grad 0.53"."""
    return "  ".join(
        _MEASURES[name].format(float(measures[name])) for name in names if name in measures
    )


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
