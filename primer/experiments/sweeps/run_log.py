"""A run's log.txt: what the engine printed, with a line at each start; its progress and its end."""

import functools
import os
import re
from typing import NamedTuple

from primer.experiments.sweeps.run_record import LOG

_START = "=== "
_NUMBER = re.compile(rf"^{_START}start (\d+) .*$", re.MULTILINE)
_LAST_LINES = 12
_WARNING = re.compile(r"^Warning: |\bno effect\b")
_TAIL = 64 * 1024  # Bytes: hundreds of lines of progress, or a long traceback.
# The lines of `primer.runtime.training.progress`.
_PROGRESS = re.compile(
    r"^step ([\d,]+)/([\d,]+)  loss (\S+)(?:.*?  (\S+) tokens/s)?(?:.*?  (\S+) left)?", re.MULTILINE
)


class Progress(NamedTuple):
    """The last line of progress.

    Attributes:
        step, goal: the step that has ended, and the last one.
        loss: its loss in nats per position, as printed.
        tokens_per_second: as printed; "" if the last start has not printed any.
        left: the remaining time, as `tokens_per_second`.
    """

    step: int
    goal: int
    loss: str
    tokens_per_second: str
    left: str


def begin(model_dir: str, text: str, name: str = LOG) -> None:
    """Appends the line of a start to a log of this name; raises OSError."""
    with open(os.path.join(model_dir, name), "a", encoding="utf-8") as log:
        log.write(f"{_START}{text}\n")


def progress(model_dir: str) -> Progress | None:
    """Returns the last progress that the log has, of any start; None without one."""
    path = os.path.join(model_dir, LOG)
    try:
        return _progress(path, os.path.getsize(path))
    except OSError:
        return None


@functools.lru_cache(maxsize=1024)
def _progress(path: str, size: int) -> Progress | None:
    """Returns the last progress of a log of `size` bytes, which is read once: logs only grow."""
    del size
    text = _tail(path)
    lines = list(_PROGRESS.finditer(text))
    if not lines:
        return None
    last = lines[-1]
    step, goal = (int(number.replace(",", "")) for number in last.group(1, 2))
    is_of_last_start = f"\n{_START}" not in text[last.end() :]
    speed, left = last.group(4, 5) if is_of_last_start else ("", "")
    return Progress(step, goal, last[3], speed or "", left or "")


def last_lines(model_dir: str, count: int, name: str = LOG) -> list[str]:
    """Returns the last lines of the last start in a log of this name, without empty ones."""
    text = _tail(os.path.join(model_dir, name))
    lines = [line.rstrip() for line in _of_last_start(text).splitlines()]
    return [line for line in lines if line][-count:]


def _of_last_start(text: str) -> str:
    return re.split(rf"^{re.escape(_START)}.*$", text, flags=re.MULTILINE)[-1]


def warnings(model_dir: str) -> list[str]:
    """Returns the lines of the last start on settings that have no effect, or are set twice."""
    lines = _of_last_start(_tail(os.path.join(model_dir, LOG))).splitlines()
    return [line.strip() for line in lines if _WARNING.search(line)]


def failure(model_dir: str, code: int | None, name: str = LOG) -> list[str]:
    """Returns lines on a process that has failed: its exit code, and the end of its log.

    Args:
        model_dir: the directory of the run.
        code: the exit code.
        name: the name of the log.
    """
    lines = [f"  | {line}" for line in last_lines(model_dir, _LAST_LINES, name)]
    head = f"  exit code {code}{_reason(code)}; the last lines of its log:"
    return [head, *lines, f"  {os.path.join(model_dir, name)}"]


def _reason(code: int | None) -> str:
    if code == 0:
        return " before its last step"
    if code == -9:
        return " (killed: by hand, or because memory was short)"
    return f" (signal {-code})" if code is not None and code < 0 else ""


def _tail(path: str) -> str:
    try:
        with open(path, "rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - _TAIL))
            return log.read().decode(errors="replace")
    except OSError:
        return ""


def speeds(model_dir: str) -> dict[int, float]:
    """Returns {number of a start: its tokens per second}, of the starts that trained some steps.

    It is what the last line of progress of a start has: the mean from its first step on, with the
    validations during training.
    """
    try:
        with open(os.path.join(model_dir, LOG), encoding="utf-8", errors="replace") as log:
            parts = _NUMBER.split(log.read())[1:]
    except OSError:
        return {}
    found = {}
    for number, text in zip(parts[::2], parts[1::2]):
        lines = list(_PROGRESS.finditer(text))
        # The line of a start's first step has the time of TensorFlow's preparation in it.
        if lines and lines[-1][4] and (len(lines) > 1 or (number == "1" and lines[-1][1] != "1")):
            found[int(number)] = _as_number(lines[-1][4])
    return found


def _as_number(text: str) -> float:
    """Returns the number of "1.2M"."""
    return float(text.rstrip("kMG")) * {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1.0)
