"""Shows the progress of `primer data prepare`: a bar on a terminal, nothing elsewhere."""

import os
from typing import TYPE_CHECKING, Any

from primer.common import console

if TYPE_CHECKING:
    from primer.data.prepared.prepare import Preparation


class ShardProgress:
    """A context that shows the number of finished shards and the speed.

    Args:
        begun: the data set, with the shards that were finished earlier.
    """

    def __init__(self, begun: "Preparation") -> None:
        from rich import progress
        from rich.console import Console

        terminal = console.terminal()
        self._bytes = 0
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("shards  {task.fields[speed]}"),
            progress.TimeElapsedColumn(),
            console=Console(file=terminal),
            transient=True,
            disable=not terminal.isatty(),
        )
        self._task = self._bar.add_task(
            os.path.join(begun.plan.output, begun.plan.task),
            total=begun.plan.shards,
            completed=len(begun.finished),
            speed="",
        )

    def __enter__(self) -> "ShardProgress":
        self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.stop()

    def add_bytes(self, size: int) -> None:
        """Adds the bytes of text that were tokenized since the last call."""
        self._bytes += size
        elapsed = self._bar.tasks[0].elapsed or 0
        speed = f"{self._bytes / 1e6 / elapsed:,.1f} MB/s" if elapsed else ""
        self._bar.update(self._task, speed=f"{self._bytes / 1e6:,.0f} MB of text  {speed}")

    def add_shard(self, index: int) -> None:
        """Counts a finished shard."""
        del index
        self._bar.advance(self._task)
