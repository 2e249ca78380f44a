"""Which tests run always and which with -m slow, by the time that they take.

`make quick-cases` measures all tests that are not marked slow in the code and writes
quick_cases.json again. A test that takes more than `LONGEST` seconds is slow; of the cases of a
parametrized test the fastest ones run always, until they take `SECONDS` together. Every file keeps
at least one test that runs always, unless each takes more than `LONGEST_OF_A_FILE`.
"""

import collections
import json
import pathlib
import sys
import xml.etree.ElementTree

import pytest

PATH = pathlib.Path(__file__).with_suffix(".json")
# On two cores of a slow machine.
LONGEST = 6.0
SECONDS = 3.0
LONGEST_OF_A_FILE = 20.0

Times = dict[str, dict[str, float]]


def mark_slow(items: list[pytest.Item]) -> None:
    """Marks the listed tests slow, but for the cases that are listed with them."""
    listed = read()
    for item in items:
        test, _, case = item.nodeid.partition("[")
        if test in listed and case.removesuffix("]") not in listed[test]:
            item.add_marker(pytest.mark.slow)


def read() -> dict[str, list[str]]:
    """Returns {test: cases that run always} of the tests of which some or all are slow."""
    return json.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else {}


def choose(times: Times) -> dict[str, list[str]]:
    """Returns {test: cases that run always} of the tests of which some or all are slow.

    Args:
        times: {test: {case: seconds}}; a test without cases has the case "".
    """
    chosen = {test: _fastest(cases) for test, cases in times.items()}
    files = collections.defaultdict(list)
    for test in times:
        files[test.partition("::")[0]].append(test)
    for tests in files.values():
        if not any(chosen[test] for test in tests):
            test, case = min(
                ((test, case) for test in tests for case in times[test]),
                key=lambda pair: times[pair[0]][pair[1]],
            )
            if times[test][case] <= LONGEST_OF_A_FILE:
                chosen[test] = [case]
    return {test: kept for test, kept in sorted(chosen.items()) if len(kept) < len(times[test])}


def _fastest(cases):
    """The cases of a test that run always."""
    kept, total = [], 0.0
    for case in sorted(cases, key=cases.__getitem__):
        total += cases[case]
        if cases[case] > LONGEST or (kept and total > SECONDS):
            break
        kept.append(case)
    return sorted(kept)


def measured(reports: list[str]) -> Times:
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
    print(f"{PATH.name}: {len(chosen)} tests of which some or all cases are slow")


if __name__ == "__main__":
    main()
