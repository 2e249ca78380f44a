"""TensorFlow's traces of a step: the time of each operation, and how many ran at once.

Of several traces the shortest time counts: whatever else the machine does makes it longer.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

# "name = Type(inputs)" of an operation that the graph has not: TensorFlow adds some of its own.
_KIND = re.compile(r" = ([\w>]+)\(")
# What they do is to wait for another device.
_WAITING = frozenset({"_Recv", "_HostRecv"})
# Copies of what a GPU's operations did, kernel by kernel.
_NO_OPERATIONS = ("/stream:", "/memcpy")
NANOSECONDS = 1e-9


class OperationTime(NamedTuple):
    """What the traces have of an operation.

    Attributes:
        name: its name in the graph.
        kind: its type, where the graph has no operation of the name.
        seconds: in a step, all runs of it; of several traces the least.
        times: how often it ran in a step.
    """

    name: str
    kind: str
    seconds: float
    times: int


class Trace(NamedTuple):
    """What the traces of steps have.

    Attributes:
        operations: the operations.
        span: seconds from the begin of the first operation to the end of the last, in the trace in
            which it is shortest.
        busy: seconds of that in which some operation ran.
        most_at_once: the most operations that ran at the same time.
        has_gpu: whether a GPU ran some.
    """

    operations: list[OperationTime]
    span: float
    busy: float
    most_at_once: int
    has_gpu: bool


class _Run(NamedTuple):
    name: str
    kind: str
    begin: int  # Nanoseconds.
    end: int


def of_steps(traces: Sequence[Any]) -> Trace:
    """Returns what traces of the same graph have.

    Args:
        traces: a RunMetadata for each step.
    """
    steps = [list(_runs(trace.step_stats)) for trace in traces]
    seconds: dict[str, list[float]] = defaultdict(list)
    times: dict[str, int] = {}
    kinds: dict[str, str] = {}
    for step in steps:
        total: dict[str, int] = defaultdict(int)
        counts: dict[str, int] = defaultdict(int)
        for run in step:
            total[run.name] += run.end - run.begin
            counts[run.name] += 1
            kinds[run.name] = run.kind
        for name, number in total.items():
            seconds[name].append(number * NANOSECONDS)
            times[name] = max(times.get(name, 0), counts[name])
    operations = [
        OperationTime(name, kinds[name], min(found), times[name]) for name, found in seconds.items()
    ]
    span, busy, most = min(map(_concurrency, steps))
    has_gpu = any("GPU" in d.device for trace in traces for d in trace.step_stats.dev_stats)
    return Trace(operations, span, busy, most, has_gpu)


def _runs(step_stats: Any) -> Iterator[_Run]:
    for device in step_stats.dev_stats:
        if any(text in device.device for text in _NO_OPERATIONS):
            continue
        for node in device.node_stats:
            found = _KIND.search(node.timeline_label)
            kind = found[1] if found else ""
            begin = node.all_start_nanos + node.op_start_rel_nanos
            end = node.all_start_nanos + node.op_end_rel_nanos
            if kind not in _WAITING:
                yield _Run(node.node_name, kind, begin, max(begin, end))


def _concurrency(runs: Iterable[_Run]) -> tuple[float, float, int]:
    """Returns (span, busy, most at once) of a step."""
    changes = sorted([(r.begin, 1) for r in runs] + [(r.end, -1) for r in runs])
    running = most = busy = 0
    for (when, change), (following, _) in zip(changes, changes[1:], strict=False):
        running += change
        most = max(most, running)
        busy += (following - when) * (running > 0)
    span = changes[-1][0] - changes[0][0] if changes else 0
    return span * NANOSECONDS, busy * NANOSECONDS, most
