"""The linter on made-up folders; tests/gin/test_lint.py holds Primer's own files to its rules."""

import pytest

from primer.gin_config import lint
from primer.gin_config.statements import Macro


@pytest.fixture
def folder(write, tmp_path):
    write("gin/defaults.gin", "norm = 1\nd_ff = 0\nLayer.norm = %norm\n")
    write("gin/sizes/tiny.gin", "d_ff = 4\n")
    return tmp_path / "gin"


@pytest.mark.parametrize(
    "value, names",
    [
        (3, set()),
        (Macro("a"), {"a"}),
        ([1, (Macro("a"), {"k": Macro("b")})], {"a", "b"}),
        ({Macro("a"): [Macro("b")]}, {"a", "b"}),
        ([], set()),
    ],
)
def test_macros_are_found_at_any_depth_of_a_value(value, names):
    assert lint.macros_used(value) == names


def test_a_folder_that_keeps_the_rules_has_no_findings(folder):
    assert lint.Linter(str(folder)).findings() == []


def test_a_finding_has_file_line_and_message(folder, write):
    write("gin/run/a.gin", "# A comment.\n\nunknown = 3\nLayer.size = %d_ff\n")
    found = lint.Linter(str(folder)).findings()
    assert [(f.path, f.line) for f in found] == [("run/a.gin", 3), ("run/a.gin", 4)]
    assert str(found[0]) == (
        "run/a.gin:3: unknown is not declared in defaults.gin or sizes/tiny.gin"
    )
    assert found[1].message == "Layer.size = %d_ff: slots are bound in defaults.gin only"


def test_scopes_and_macros_may_be_allowed(folder, write):
    write("gin/run/a.gin", "train/Layer.size = 3\nTASK = 'x'\n")
    assert len(lint.Linter(str(folder)).findings()) == 2
    assert lint.Linter(str(folder), scopes=["train"], macros=["TASK"]).findings() == []


def test_includes_come_first_and_exist(folder, write, tmp_path):
    write("other/there.gin", "")
    write("gin/run/a.gin", 'include "there.gin"\nLayer.size = 3\ninclude "nowhere.gin"\n')
    found = lint.Linter(str(folder), others=[str(tmp_path / "other")]).findings()
    assert [(f.line, f.message) for f in found] == [
        (3, "include 'nowhere.gin': there is no such file"),
        (3, "include stands after a binding, which it may override"),
    ]


def test_a_path_exists_in_one_folder_of_the_search_path(folder, write, tmp_path):
    write("other/sizes/tiny.gin", "")
    (found,) = lint.Linter(str(folder), others=[str(tmp_path / "other")]).findings()
    assert found.path == "sizes/tiny.gin" and "has a file of the same path" in found.message


def test_a_slot_belongs_to_one_kind(folder, write):
    write("gin/activations/a.gin", "d_ff = 3\n")
    (found,) = lint.Linter(str(folder)).findings()
    assert found == lint.Finding("sizes/tiny.gin", 1, "d_ff is also set by files of activations/")
