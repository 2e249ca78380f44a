"""The results of a sweep's runs, as `primer eval` and `--eval_every` have written them."""

import functools
import os

from primer.evaluation.stored import result_lines
from primer.evaluation.stored.result_lines import Row


def read(model_dir: str) -> list[list[Row]]:
    """Returns the rows of each text, protocol and function, the latest of each step, by step."""
    found = []
    for path in result_lines.local_files(model_dir):
        try:
            status = os.stat(path)
            found += _that_count(path, status.st_size, status.st_mtime_ns)
        except OSError:
            continue
    return found


@functools.lru_cache(maxsize=4096)
def _that_count(path: str, size: int, time: int) -> list[list[Row]]:
    """Returns the rows of a file of this size and time, which is read once."""
    del size, time
    with open(path, "rb") as file:
        return result_lines.that_count(result_lines.parse(file.read(), path))
