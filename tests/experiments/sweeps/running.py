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


def children(parent):
    """Returns {id: words of the command} of the processes that a process has begun."""
    found = {}
    for number in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/stat") as stat, open(f"/proc/{number}/cmdline") as words:
                if int(stat.read().rsplit(")", 1)[1].split()[1]) == parent:
                    found[int(number)] = words.read().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def engine_of(parent, folder):
    """Returns the id of the process of a run."""
    for number, words in children(parent).items():
        if f"--model_dir={folder}" in words and "eval" not in words:
            return number
    raise AssertionError("the run has no process")


def kill_children(parent, count, kind=None):
    """Kills runs, or with "eval" evaluations, that a sweep has begun.

    Returns:
        Whether there were as many of them; if not, none is killed.
    """
    found = []
    for number, words in children(parent).items():
        is_run = any(word.startswith("--model_dir=") for word in words)
        if is_run and ("eval" in words) == bool(kind):
            found.append(number)
    if len(found) < count:
        return False
    for number in found[:count]:
        os.kill(number, signal.SIGKILL)
    return True
