"""Which cases of long parametrized tests run always; the others run with -m slow.

`make quick-cases` measures all quick tests and writes quick_cases.json again: of each parametrized
test that takes longer than a few seconds, the cases that take the least time. Every test function
keeps at least one case.
"""

import collections
import json
import pathlib
import sys
import xml.etree.ElementTree

import pytest

PATH = pathlib.Path(__file__).with_suffix(".json")
SECONDS = 4.0  # Of the cases of one test function, on two cores of a slow machine.


def mark_slow(items: list[pytest.Item]) -> None:
    """Marks the cases of listed tests slow that are not listed."""
    listed = read()
    for item in items:
        test, _, case = item.nodeid.partition("[")
        if test in listed and case.removesuffix("]") not in listed[test]:
            item.add_marker(pytest.mark.slow)


def read() -> dict[str, list[str]]:
    """Returns {test: cases that run always} of the tests of which some are slow."""
    return json.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else {}


def choose(times: dict[str, dict[str, float]]) -> dict[str, list[str]]:
    """Returns the fastest cases of each test that takes longer than `SECONDS`.

    Args:
        times: {test: {case: seconds}}; a test without cases has the case "".
    """
    chosen = {}
    for test, cases in sorted(times.items()):
        if len(cases) == 1 or sum(cases.values()) <= SECONDS:
            continue
        kept, total = [], 0.0
        for case in sorted(cases, key=cases.__getitem__):
            total += cases[case]
            if kept and total > SECONDS:
                break
            kept.append(case)
        chosen[test] = sorted(kept)
    return chosen


def measured(reports: list[str]) -> dict[str, dict[str, float]]:
    """Returns {test: {case: seconds}} of the JUnit files of pytest."""
    times = collections.defaultdict(dict)
    for report in reports:
        for one in xml.etree.ElementTree.parse(report).iter("testcase"):
            name, _, case = one.get("name").partition("[")
            test = f"{one.get('classname').replace('.', '/')}.py::{name}"
            times[test][case.removesuffix("]")] = float(one.get("time"))
    return dict(times)


def main() -> None:
    """Writes the file from the JUnit files that the command line names."""
    chosen = choose(measured(sys.argv[1:]))
    PATH.write_text(json.dumps(chosen, indent=1) + "\n", encoding="utf-8")
    print(f"{PATH.name}: {len(chosen)} tests, of which some cases are slow")


if __name__ == "__main__":
    main()
