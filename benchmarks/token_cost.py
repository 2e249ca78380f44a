"""The time of one more token after texts of several lengths, with the graph of `primer generate`.

    .venv/bin/python benchmarks/token_cost.py MODEL LENGTH...

One text at a time; the lengths in turn, in one process. Prints one line of JSON: {length: seconds},
medians.
"""

import json
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks import generate  # noqa: E402

STEPS = 12


def main() -> None:
    """Measures and prints."""
    name, *lengths = sys.argv[1:]
    model = generate.build(name)
    graphs = {length: generate.decoding(model, 1, int(length)) for length in lengths}
    seconds = {length: [] for length in lengths}
    for _ in range(STEPS + 2):
        for length, step in graphs.items():
            began = time.perf_counter()
            step()
            seconds[length].append(time.perf_counter() - began)
    print(json.dumps({length: statistics.median(s[2:]) for length, s in seconds.items()}))


if __name__ == "__main__":
    main()
