"""Runs steps by one protocol: some to warm up, then untraced and traced ones in turns.

The wall time of a step is that of an untraced one. TensorFlow's trace (`RunOptions.FULL_TRACE`)
has the time of each operation, and itself takes time: a traced step is slower. In turns, so that
what else the machine does slows both.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, TypeVar

import tensorflow.compat.v1 as tf

WARM_UP = 10

_Result = TypeVar("_Result")
# Takes RunOptions and RunMetadata, or None for both.
Run = Callable[[Any, Any], _Result]


@dataclasses.dataclass
class TimedSteps:
    """The times and traces of steps.

    Attributes:
        number: how many steps are traced, and as many are not.
        warm_up: how many run before them.
        untraced, traced: seconds of each.
        cpu: seconds of all of the process's threads in each untraced one.
        traces: the RunMetadata of each traced one.
    """

    number: int
    warm_up: int = WARM_UP
    untraced: list[float] = dataclasses.field(default_factory=list)
    cpu: list[float] = dataclasses.field(default_factory=list)
    traced: list[float] = dataclasses.field(default_factory=list)
    traces: list[Any] = dataclasses.field(default_factory=list)
    _done: int = 0

    @property
    def total(self) -> int:
        """How many steps the protocol takes."""
        return self.warm_up + 2 * self.number

    @property
    def is_complete(self) -> bool:
        """Whether all of them have run."""
        return self._done >= self.total

    def run(self, run: Run[_Result]) -> _Result:
        """Runs the next step; its result is the same whether it is traced or not.

        Args:
            run: runs a step with RunOptions and RunMetadata, or without (None, None).
        """
        position = self._done - self.warm_up
        self._done += 1
        if not 0 <= position < 2 * self.number:
            return run(None, None)
        return self._traced(run) if position % 2 else self._timed(run)

    def _timed(self, run: Run[_Result]) -> _Result:
        began, cpu = time.perf_counter(), time.process_time()
        result = run(None, None)
        self.untraced.append(time.perf_counter() - began)
        self.cpu.append(time.process_time() - cpu)
        return result

    def _traced(self, run: Run[_Result]) -> _Result:
        metadata = tf.RunMetadata()
        options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
        began = time.perf_counter()
        result = run(options, metadata)
        self.traced.append(time.perf_counter() - began)
        self.traces.append(metadata)
        return result
