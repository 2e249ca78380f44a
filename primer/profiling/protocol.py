"""How a profile was measured: the batch, the threads, the steps, and this machine's speeds."""

import dataclasses
import math
import os
import statistics
import time
from collections.abc import Callable

import tensorflow.compat.v1 as tf

from primer.planning.machines import cpu
from primer.profiling.trace import Trace
from primer.runtime.training import product_speed
from primer.runtime.training.profiling.timed_steps import TimedSteps

# A speed is measured until so many measurements in a row are not faster by more than _TOLERANCE:
# other work on the machine slows it.
_IN_A_ROW, _TOLERANCE, _MOST = 3, 0.02, 12


@dataclasses.dataclass(frozen=True)
class Setting:
    """What steps were run with.

    Attributes:
        mode: "train" or "eval".
        batch: the sizes of a batch, `[rows, length]`, behind further dimensions.
        dtype: the type of activations.
        device: the device that computes products: "gpu:0" or "cpu:0".
        config: the configuration of the session.
        is_uncompiled: whether XLA compiles these steps in a run, and did not here.
    """

    mode: str
    batch: tuple[int, ...]
    dtype: tf.DType
    device: str
    config: tf.ConfigProto
    is_uncompiled: bool = False


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a profile was measured, and the times of whole steps in seconds.

    Attributes:
        mode, batch: as of `Setting`.
        dtype: the type of activations.
        product: a description of the product, "float32 product of 1,024 x 1,024".
        product_speed: its FLOP/s, measured in the same process behind the steps.
        product_cpu_speed: its FLOPs per second of processor time.
        bandwidth: the bytes per second that element-wise operations read and write.
        threads_between, threads_within: how many operations run at once, and threads of one
            operation, as the session is configured; 0 is TensorFlow's choice, the processors.
        processors: how many the process may use.
        steps: how many steps were traced, and as many timed without a trace.
        warm_up: how many ran before.
        step_seconds: the wall time of the fastest untraced step.
        median_seconds: that of the median one.
        cpu_seconds: the least time of all threads in an untraced step.
        traced_seconds: the wall time of the fastest traced step.
        span_seconds: from the first operation of a traced step to the end of its last.
        busy_seconds: of these, while any operation ran.
        most_at_once: the most operations at the same time.
        is_uncompiled: as of `Setting`.
    """

    mode: str
    batch: tuple[int, ...]
    dtype: str
    product: str
    product_speed: float
    product_cpu_speed: float
    bandwidth: float
    threads_between: int
    threads_within: int
    processors: int
    steps: int
    warm_up: int
    step_seconds: float
    median_seconds: float
    cpu_seconds: float
    traced_seconds: float
    span_seconds: float
    busy_seconds: float
    most_at_once: int
    is_uncompiled: bool = False

    @property
    def batch_text(self) -> str:
        """The rows and their length, as "8 x 128"."""
        return f"{math.prod(self.batch[:-1])} x {self.batch[-1]}"

    @property
    def tracing_overhead(self) -> float:
        """By which share of an untraced step a traced one is longer."""
        return self.traced_seconds / self.step_seconds - 1 if self.step_seconds else 0.0

    @property
    def tokens(self) -> int:
        """The tokens of a batch."""
        return math.prod(self.batch)


def measure(setting: Setting, steps: TimedSteps, traced: Trace) -> Protocol:
    """Measures the speeds of this machine, and returns them with the times of steps.

    Args:
        setting: what the steps were run with.
        steps: their times.
        traced: what their traces have.
    """
    dtype, device, config = setting.dtype, setting.device, setting.config
    size = product_speed.size(dtype, device)

    def product(clock: Callable[[], float]) -> float:
        return _highest(lambda: product_speed.measure(dtype, device, config, clock))

    return Protocol(
        mode=setting.mode,
        batch=setting.batch,
        dtype=dtype.name,
        product=f"{dtype.name} product of {size:,} x {size:,}",
        product_speed=product(time.perf_counter),
        product_cpu_speed=product(time.process_time),
        bandwidth=_highest(lambda: cpu.bandwidth(config)),
        threads_between=config.inter_op_parallelism_threads,
        threads_within=config.intra_op_parallelism_threads,
        processors=len(os.sched_getaffinity(0)),
        steps=steps.number,
        warm_up=steps.warm_up,
        step_seconds=min(steps.untraced),
        median_seconds=statistics.median(steps.untraced),
        cpu_seconds=min(steps.cpu),
        traced_seconds=min(steps.traced),
        span_seconds=traced.span,
        busy_seconds=traced.busy,
        most_at_once=traced.most_at_once,
        is_uncompiled=setting.is_uncompiled,
    )


def _highest(measure_once: Callable[[], float]) -> float:
    """Returns the highest of several measurements."""
    highest, in_a_row = 0.0, 0
    for _ in range(_MOST):
        found = measure_once()
        in_a_row = 0 if found > (1 + _TOLERANCE) * highest else in_a_row + 1
        highest = max(highest, found)
        if in_a_row == _IN_A_ROW:
            break
    return highest
