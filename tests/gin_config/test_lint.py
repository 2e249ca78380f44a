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


@pytest.fixture
def optimizers(write, folder):
    """The folder with an optimizer, a schedule, and the slots of both."""
    usual = sorted(lint.SAME_SLOTS["optimizers"] - {"optimizer"})
    slots = "".join(["optimizer = 0\n", *(f"{name} = 0\n" for name in usual)])
    more = "schedule = 0\nwarmup = 0\nlearning_rate = 0\nLayer.norm = %norm\n"
    write("gin/defaults.gin", f"norm = 1\nd_ff = 0\n{slots}{more}")
    write("gin/optimizers/a.gin", slots.replace("optimizer = 0", "optimizer = @A"))
    write("gin/schedules/s.gin", "schedule = @S\nwarmup = 3\n")
    return folder


INCLUDE_A = 'include "optimizers/a.gin"\n'


@pytest.mark.parametrize(
    "path, text",
    [
        ("recipes/r.gin", "schedule = @S\nlearning_rate = 0.1\noptimizer = @A\nwarmup = 3\n"),
        ("run/r.gin", "schedule = @S\nlearning_rate = 0.1\n"),
        ("schedules/odd.gin", "schedule = @odd/S\nwarmup = 3\nodd/S.b = 3\n"),
        ("optimizers/odd.gin", f"{INCLUDE_A}optimizer = @odd/A\nodd/A.b = 3\nodd/B.c = 4\n"),
        ("optimizers/odd.gin", f"{INCLUDE_A}usual_schedule = [1.0, @odd/S]\nodd/S.b = 3\n"),
        ("optimizers/x/odd.gin", f"{INCLUDE_A}optimizer = @x_odd/A\nx_odd/A.b = 3\n"),
    ],
)
def test_optimizers_and_schedules_may_bind_in_a_scope_of_their_own(optimizers, write, path, text):
    write(f"gin/{path}", text)
    assert lint.Linter(str(optimizers)).findings() == []


@pytest.mark.parametrize(
    "path, text, found",
    [
        (
            "optimizers/odd.gin",
            f"{INCLUDE_A}A.b = 3\n",
            "2: A.b: a file of optimizers/ binds in its",
        ),
        (
            "optimizers/odd.gin",
            f"{INCLUDE_A}a/A.b = 3\n",
            "2: A.b: a file of optimizers/ binds in it",
        ),
        (
            "optimizers/odd.gin",
            f"{INCLUDE_A}odd/A.b = 3\n",
            "2: odd/A.b: no slot of this file enters",
        ),
        (
            "optimizers/odd.gin",
            "optimizer = @A\n",
            "1: does not set usual_clip_norm, usual_final_le",
        ),
        (
            "optimizers/odd.gin",
            f"{INCLUDE_A}learning_rate = 3\n",
            "1: sets learning_rate: no slot of",
        ),
        ("schedules/odd.gin", "schedule = @S\n", "1: does not set warmup: all schedules/ set it"),
        ("schedules/odd.gin", "warmup = 3\n", "1: does not set schedule: all schedules/ set it"),
        (
            "schedules/odd.gin",
            "schedule = @S\nwarmup = 3\nS.b = 3\n",
            "3: S.b: a file of schedules/",
        ),
        ("datasets/odd.gin", "warmup = 3\n", "1: warmup is also set by files of schedules/"),
        (
            "run/odd.gin",
            "usual_clip_norm = 3\n",
            "1: usual_clip_norm is also set by files of optim",
        ),
    ],
)
def test_rules_of_optimizers_and_schedules(optimizers, write, path, text, found):
    write(f"gin/{path}", text)
    (finding,) = lint.Linter(str(optimizers)).findings()
    assert str(finding).startswith(f"{path}:{found}")
