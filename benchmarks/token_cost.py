"""The time of one more token with 63 and with 2,047 tokens before it, as `generate.py` has it.

    .venv/bin/python benchmarks/token_cost.py MODEL

One text at a time. Prints one line of JSON: {length: seconds}, the fastest of some steps.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks import generate  # noqa: E402

STEPS = 15


def main() -> None:
    """Measures and prints."""
    costs = generate.window_costs(generate.build(sys.argv[1]), 1, STEPS)
    print(json.dumps({str(length): wall for length, (wall, _) in costs.items()}))


if __name__ == "__main__":
    main()
