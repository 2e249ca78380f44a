"""The table of a sweep's runs: on a terminal, without one, and where not all rows fit."""

import io

import pytest

from primer.common import console
from primer.experiments.sweeps import states_table
from primer.experiments.sweeps.expansion import SweepRun

STATES = {"seed=1": "done", "seed=2": "running", "seed=3": "failed", "seed=4": "waiting"}
COUNTS = "rates: 1 of 4 done, 1 waiting, 1 running, 1 failed"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def runs(tmp_path):
    runs = []
    for index, name in enumerate(STATES):
        runs.append(SweepRun(index, name, str(tmp_path / name), {}, {}, []))
        (tmp_path / name).mkdir()
        line = f"step {index + 1}/9  loss {index}.5  lr 1.0e-03  2.5k tokens/s  0:07 left\n"
        (tmp_path / name / "log.txt").write_text(line if name < "seed=4" else "")
    return runs


def shown(monkeypatch, stream, runs, states, lines=30):
    """Returns what a stream gets from one update and one message."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", str(lines))
    monkeypatch.setattr(console, "terminal", lambda: stream)
    with states_table.StatesTable("rates", runs) as table:
        monkeypatch.setattr(table, "_shown", -1e9)
        table.update(states)
        table.say("a log has [/bold] brackets")
    return stream.getvalue()


def test_a_terminal_has_a_table_and_messages_as_they_are(monkeypatch, runs):
    written = shown(monkeypatch, Terminal(), runs, STATES)
    assert COUNTS in written and "a log has [/bold] brackets" in written
    rows = [line.split() for line in written.splitlines() if " seed=" in line][:4]
    assert rows == [
        ["0", "seed=1", "done", "1/9", "0.5"],
        ["1", "seed=2", "running", "2/9", "1.5", "2.5k", "0:07"],
        ["2", "seed=3", "failed", "3/9", "2.5"],
        ["3", "seed=4", "waiting"],
    ]


def test_a_small_terminal_has_the_rows_that_matter(monkeypatch, runs):
    written = shown(monkeypatch, Terminal(), runs, STATES, lines=11)
    first = written.split("brackets")[0]
    assert [name for name in STATES if f" {name} " in first] == ["seed=2", "seed=3", "seed=4"]
    assert first.index("seed=2") < first.index("seed=3")


def test_without_a_terminal_there_are_plain_lines(monkeypatch, runs):
    written = shown(monkeypatch, io.StringIO(), runs, STATES)
    assert written.splitlines() == [
        COUNTS,
        "  seed=2 step 2/9 loss 1.5 0:07 left",
        "a log has [/bold] brackets",
    ]
