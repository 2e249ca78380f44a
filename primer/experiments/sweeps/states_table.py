"""The table of a sweep's runs: rewritten on a terminal while they are trained, and at the end."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from primer.common import console, live_line
from primer.common.terminal import tables
from primer.experiments.sweeps import run_log, run_record
from primer.experiments.sweeps.expansion import SweepRun

if TYPE_CHECKING:
    from rich.table import Table

_AROUND = 8  # Lines of a terminal that are not rows.
# The order of rows where not all may fit.
_ORDER = (
    run_record.RUNNING,
    run_record.FAILED,
    run_record.STOPPED,
    run_record.WAITING,
    run_record.HOPELESS,
    run_record.DONE,
)


class StatesTable(live_line.LiveLine):
    """The table while runs are trained, as a context; without a terminal, plain lines."""

    def __init__(self, name: str, runs: Sequence[SweepRun]) -> None:
        """Stores what is shown.

        Args:
            name: the sweep's name.
            runs: its runs.
        """
        super().__init__()
        self._name = name
        self._runs = runs

    def update(self, states: Mapping[str, str]) -> None:
        """Shows {name of a run: its state}."""
        if not self.is_due():
            return
        if self._live is None:
            self.show(f"{self._name}: {counts(states)}{self._running(states)}")
            return
        height = max(3, self._live.console.height - _AROUND)
        runs = list(self._runs)
        if 2 * len(runs) > height:  # A long name takes two lines.
            runs = sorted(runs, key=lambda run: _ORDER.index(states[run.name]))[:height]
        title = f"{self._name}: {counts(states)}"
        self._live.update(table(title, runs, states, with_speed=True), refresh=True)

    def say(self, message: str) -> None:
        """Prints a message above the table, as it is: a log's brackets are no markup."""
        if self._live is None:
            console.say(message)
            return
        from rich.text import Text

        self._live.console.print(Text(message), soft_wrap=True)

    def _running(self, states: Mapping[str, str]) -> str:
        lines = []
        for run in self._runs:
            if states[run.name] == run_record.RUNNING:
                last = run_log.progress(run.model_dir)
                step = f" step {last.step:,}/{last.goal:,} loss {last.loss}" if last else ""
                left = f" {last.left} left" if last and last.left else ""
                lines.append(f"\n  {run.name}{step}{left}")
        return "".join(lines)


def table(
    title: str, runs: Sequence[SweepRun], states: Mapping[str, str], with_speed: bool = False
) -> "Table":
    """Returns the table of runs.

    Args:
        title: the line above it.
        runs: the rows.
        states: {name of a run: its state}.
        with_speed: whether it has tokens per second and the time left, of the runs that run.
    """
    speed = ("tokens/s", "left") if with_speed else ()
    result = tables.table(
        title, "#", "run", "state", "step", "loss", *speed, words=("run", "state")
    )
    for run in runs:
        last = run_log.progress(run.model_dir)
        cells = [str(run.index), run.name, state_text(run, states[run.name])]
        cells += [f"{last.step:,}/{last.goal:,}", last.loss] if last else ["", ""]
        if with_speed:
            is_running = last and states[run.name] == run_record.RUNNING
            cells += [last.tokens_per_second, last.left] if last and is_running else ["", ""]
        result.add_row(*cells)
    return result


def state_text(run: SweepRun, state: str) -> str:
    """Returns a state as text: "stopped: hopeless at step 200", else the word itself."""
    if state != run_record.HOPELESS:
        return state
    found = run_record.hopeless(run_record.read(run.model_dir))
    return f"stopped: hopeless at step {found['step']:,}" if found else state


def counts(states: Mapping[str, str]) -> str:
    """Returns "3 of 12 done, 2 running, 1 failed"."""
    found = list(states.values())
    others = (state for state in run_record.STATES if state != run_record.DONE)
    parts = [f"{found.count(state)} {state}" for state in others if state in found]
    return ", ".join([f"{found.count(run_record.DONE)} of {len(found)} done", *parts])
