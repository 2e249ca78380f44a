"""The progress bar of `primer data prepare`: shards and megabytes, on a terminal only."""

import io
import types

import pytest

from primer.commands.data.shard_progress import ShardProgress
from primer.common import console


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def begun():
    """A data set of four shards, one of which is finished."""
    plan = types.SimpleNamespace(output="out", task="text", shards=4)
    return types.SimpleNamespace(plan=plan, finished=[0])


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_the_bar_counts_shards_on_a_terminal_only(begun, stream, monkeypatch):
    monkeypatch.setattr(console, "terminal", lambda: stream)
    with ShardProgress(begun) as progress:
        progress.add_bytes(2_000_000)
        progress.add_bytes(1_000_000)
        for index in (2, 1):
            progress.add_shard(index)
        (task,) = progress._bar.tasks
        assert (task.completed, task.total) == (3, 4)
        assert task.fields["speed"].startswith("3 MB of text")
    assert ("out/text" in stream.getvalue()) == stream.isatty()
