"""What tests of running sweeps look at: steps, outcomes, the final table, processes."""

import json
import os
import signal
import time

SECONDS = 60  # Until a process must have come to what is waited for.


def until(condition):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not come to this"
        time.sleep(0.02)


def steps(folder, name="steps.txt"):
    try:
        return [int(line) for line in (folder / name).read_text().split()]
    except FileNotFoundError:
        return []


def outcomes(folder):
    starts = json.loads((folder / "run.json").read_text())["starts"]
    return [start.get("outcome") for start in starts]


def table(text):
    """Returns the rows of the table at the end of an output, without its title."""
    return [line for line in text.splitlines() if line.strip()[:1].isdigit() and "/" in line]


def processes():
    """Yields (id, id of the parent, words of the command) of all processes."""
    for number in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/stat") as stat, open(f"/proc/{number}/cmdline") as words:
                parent = int(stat.read().rsplit(")", 1)[1].split()[1])
                yield int(number), parent, words.read().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue


def programs(runs, kind=None, begun_by=None):
    """Returns {id: its parent} of the runs of a sweep, or with "eval" of its evaluations.

    Args:
        runs: the sweep's output.
        kind: "eval", or None for runs.
        begun_by: the name of a program that begins others and becomes none of them: the processes
            of that one.
    """
    found = {}
    for number, parent, words in processes():
        is_of_sweep = any(word.startswith(f"--model_dir={runs}/") for word in words)
        names = {os.path.basename(word) for word in words}
        if is_of_sweep and ("eval" in words) == bool(kind):
            if begun_by in names if begun_by else not names & {"process_start.py", "guard.py"}:
                found[number] = parent
    return found


def engine_of(folder):
    """Returns the id of the process of a run."""
    for number, _, words in processes():
        if f"--model_dir={folder}" in words and number in programs(folder.parent):
            return number
    raise AssertionError("the run has no process")


def kill_processes(runs, count, kind=None):
    """Kills runs, or with "eval" evaluations, that a sweep has begun.

    Returns:
        Whether there were as many of them; if not, none is killed.
    """
    found = list(programs(runs, kind))
    if len(found) < count:
        return False
    for number in found[:count]:
        os.kill(number, signal.SIGKILL)
    return True


def kill_ray_worker(runs):
    """Kills a worker of Ray on which a run has begun; returns whether there was one."""
    parents = programs(runs)
    guards = programs(runs, begun_by="guard.py")
    for guard in parents.values():
        if guard in guards:
            os.kill(guards[guard], signal.SIGKILL)
            return True
    return False
