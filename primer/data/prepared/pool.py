"""Shards written on one machine, by this process or by several."""

import concurrent.futures
import dataclasses
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Iterable

from primer.data import preflight
from primer.data.prepared import failures, shard
from primer.data.sources import corrupt_records
from primer.errors import RunError

_SECONDS = 0.2

_reports = []  # In a worker: the queue that takes the bytes it has done.


def write_shards(
    plan,
    indexes: Iterable[int],
    workers: int,
    start: Callable,
    on_bytes: Callable[[int], None],
    on_shard: Callable[[int], None],
) -> None:
    """Writes the shards of these numbers.

    Args:
        plan: a `primer.data.prepared.plan.Plan`.
        indexes: the numbers of the shards that are not yet there.
        workers: how many processes write them.
        start: (the plan's fields, reports) -> None; makes a new process ready.
        on_bytes: is called with the bytes of text done since the last call.
        on_shard: is called with the number of each shard that is finished.

    Raises:
        UsageError, RunError: of the first shard that failed; finished ones are kept.
    """
    indexes = list(indexes)
    if workers == 1 or len(indexes) == 1:
        for index in indexes:
            write_shard(plan, index, on_bytes)
            on_shard(index)
    elif indexes:
        _run_in_processes(plan, indexes, min(workers, len(indexes)), start, on_bytes, on_shard)


def _run_in_processes(plan, indexes, workers, start, on_bytes, on_shard):
    # Not by fork: TensorFlow's threads would not be there in the child.
    context = multiprocessing.get_context("spawn")
    reports = context.Queue()
    executor = concurrent.futures.ProcessPoolExecutor(
        workers, context, initializer=start, initargs=(dataclasses.asdict(plan), reports)
    )
    try:
        waiting = {executor.submit(_write_in_worker, plan, index): index for index in indexes}
        while waiting:
            done, _ = concurrent.futures.wait(waiting, _SECONDS, concurrent.futures.FIRST_COMPLETED)
            _drain(reports, on_bytes)
            for future in done:
                future.result()
                on_shard(waiting.pop(future))
    except concurrent.futures.process.BrokenProcessPool as error:
        raise RunError(
            "a worker ended before its shard was done (out of memory?); finished shards are kept: "
            "run the same command again, with fewer --workers"
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _drain(reports, on_bytes):
    try:
        while True:
            on_bytes(reports.get_nowait())
    except queue.Empty:
        pass


def initialize_worker(reports) -> None:
    """In a new worker: reports go to this queue, and the worker ends when its parent does."""
    _reports[:] = [reports]
    parent = multiprocessing.parent_process()

    def watch():
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _write_in_worker(plan, index: int) -> None:
    """In a worker: writes one shard."""
    write_shard(plan, index, _reports[0].put if _reports else lambda size: None)


def write_shard(plan, index: int, progress: Callable[[int], None]) -> None:
    """Writes one shard; raises UsageError or RunError when it cannot be read or written."""
    try:
        with corrupt_records.name_corrupt_file(preflight.find_task(plan.task)):
            shard.write_shard(plan, index, progress)
    except failures.WRITE_ERRORS as error:
        raise failures.write_failure(plan, f"shard {index} of {plan.shards}", error) from None
