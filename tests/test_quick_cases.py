"""Which tests are slow by the time that they take."""

import pytest

from tests import quick_cases
from tests.paths import ROOT


def test_the_fastest_cases_run_always():
    times = {"a.py::t": {"x": 1.5, "y": 1.0, "z": 2.5}, "a.py::u": {"": 5.0}}
    assert quick_cases.choose(times) == {"a.py::t": ["x", "y"]}


def test_a_long_test_is_slow_unless_its_file_has_no_other():
    times = {
        "a.py::t": {"": 7.0},
        "a.py::u": {"x": 7.0, "y": 1.0},
        "b.py::t": {"x": 30.0, "y": 15.0},
        "b.py::u": {"": 18.0},
        "c.py::t": {"": 25.0},
    }
    assert quick_cases.choose(times) == {
        "a.py::t": [],
        "a.py::u": ["y"],
        "b.py::t": ["y"],
        "b.py::u": [],
        "c.py::t": [],
    }


def test_times_are_read_from_pytests_report(tmp_path):
    report = tmp_path / "times.xml"
    report.write_text(
        "<testsuites><testsuite>"
        '<testcase classname="tests.a.test_b" name="test_c[x-[1, 2]]" time="1.5" />'
        '<testcase classname="tests.a.test_b" name="test_d" time="2" />'
        "</testsuite></testsuites>"
    )
    assert quick_cases.measured([str(report)]) == {
        "tests/a/test_b.py::test_c": {"x-[1, 2]": 1.5},
        "tests/a/test_b.py::test_d": {"": 2.0},
    }


@pytest.mark.parametrize("test", quick_cases.read())
def test_every_listed_test_exists(test):
    file, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")
