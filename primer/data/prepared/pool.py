"""Writes shards on one machine, in this process or in several."""

import dataclasses
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Iterable
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from primer.data import preflight
from primer.data.prepared import failures, shard
from primer.data.sources import corrupt_records
from primer.errors import RunError

if TYPE_CHECKING:
    from primer.data.prepared.plan import Plan

_POLL_SECONDS = 0.2

# In a worker process: the queue for the bytes of text it has processed. An executor's initializer
# can leave it in a module only, and a queue cannot be an argument of `submit`.
_reports: list[Any] = []


def write_shards(
    plan: "Plan",
    indexes: Iterable[int],
    workers: int,
    initialize: Callable[[dict[str, Any], Any], object] | None,
    on_bytes: Callable[[int], object],
    on_shard: Callable[[int], object],
) -> None:
    """Writes the shards with these indexes.

    Args:
        plan: the data set.
        indexes: the indexes of the shards that are not yet written.
        workers: the number of processes that write them.
        initialize: initializes a new process; takes the plan's fields and a queue for
            `initialize_worker`. Not used with one worker.
        on_bytes: takes the bytes of text processed since the last call.
        on_shard: takes the index of each finished shard.

    Raises:
        UsageError, RunError: the first shard that failed; finished shards are kept.
    """
    indexes = list(indexes)
    if workers == 1 or len(indexes) == 1:
        for index in indexes:
            write_shard(plan, index, on_bytes)
            on_shard(index)
    elif indexes:
        _run_in_processes(plan, indexes, min(workers, len(indexes)), initialize, on_bytes, on_shard)


def _run_in_processes(plan, indexes, workers, initialize, on_bytes, on_shard):
    # Not by fork: the child would not have TensorFlow's threads.
    context = multiprocessing.get_context("spawn")
    reports = context.Queue()
    executor = futures.ProcessPoolExecutor(
        workers, context, initializer=initialize, initargs=(dataclasses.asdict(plan), reports)
    )
    try:
        waiting = {executor.submit(_write_in_worker, plan, index): index for index in indexes}
        while waiting:
            done, _ = futures.wait(waiting, _POLL_SECONDS, futures.FIRST_COMPLETED)
            _drain(reports, on_bytes)
            for future in done:
                future.result()
                on_shard(waiting.pop(future))
    except BrokenProcessPool as error:
        raise RunError(
            "a worker process ended before its shard was written (out of memory?); finished shards "
            "are kept: run the same command again with fewer --workers"
        ) from error
    except Exception:
        raise
    except BaseException:
        _kill(executor)
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _kill(executor):
    """Ends the workers at a signal; a shard that is not complete is written again."""
    for process in list((executor._processes or {}).values()):
        process.kill()


def _drain(reports, on_bytes):
    try:
        while True:
            on_bytes(reports.get_nowait())
    except queue.Empty:
        pass


def initialize_worker(reports: Any) -> None:
    """Initializes a new worker process, which ends when its parent process ends.

    Args:
        reports: a `multiprocessing.Queue` for the bytes of text that the worker has processed.
    """
    _reports[:] = [reports]
    parent = multiprocessing.parent_process()

    def end_with_parent():
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _write_in_worker(plan, index: int) -> None:
    """Writes one shard, in a worker process."""
    write_shard(plan, index, _reports[0].put if _reports else lambda size: None)


def write_shard(plan: "Plan", index: int, progress: Callable[[int], object]) -> None:
    """Writes one shard.

    Args:
        plan, index, progress: as for `primer.data.prepared.shard.write_shard`.

    Raises:
        UsageError, RunError: the shard's data cannot be read, or it cannot be written.
    """
    try:
        with corrupt_records.name_corrupt_file(preflight.find_task(plan.task)):
            shard.write_shard(plan, index, progress)
    except failures.WRITE_ERRORS as error:
        raise failures.write_failure(plan, f"shard {index} of {plan.shards}", error) from None
