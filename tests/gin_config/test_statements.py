"""Gin files as text: statements with lines, whether their names are registered or not."""

import pytest

from primer.gin_config import config_files, statements
from primer.gin_config.statements import Macro, Reference

TEXT = """# A comment.
import no_such_module
include "other.gin"

size = 3
scope/width = %size
NoSuchClass.layers = [@a/Layer, @Layer(), %scope/width]
"""


def test_names_are_kept_as_they_are_written():
    found = statements.parse_text(TEXT)
    assert [statement.location.line_num for statement in found] == [2, 3, 5, 6, 7]
    assert [statements.is_include(s) for s in found] == [False, True, False, False, False]
    assert [statements.is_binding(s) for s in found] == [False, False, True, True, True]
    assert [statements.is_macro(s) for s in found] == [False, False, True, True, False]
    assert [statements.macro_name(s) for s in found[2:4]] == ["size", "scope/width"]
    assert found[4].value == [
        Reference("a/Layer", False),
        Reference("Layer", True),
        Macro("scope/width"),
    ]


def test_macros_of_a_file_are_its_own(write):
    path = write("a.gin", TEXT)
    assert statements.macros_set(path) == {"size": 3, "scope/width": Macro("size")}


def test_a_text_that_is_not_gin_names_its_line(write):
    with pytest.raises(SyntaxError) as error:
        statements.parse_file(write("a.gin", "size = 3\n\nwidth = 2 * 3\n"))
    assert error.value.lineno == 3


def test_gin_files_are_found_in_all_folders(write, tmp_path):
    for name in ("b.gin", "a/z.gin", "a/c/y.gin", "a/notes.txt"):
        write(name, "")
    assert statements.gin_files(str(tmp_path)) == ["a/c/y.gin", "a/z.gin", "b.gin"]


def test_slots_are_declared_by_two_files_in_their_order(write, tmp_path):
    write(config_files.SLOT_DEFAULTS, "norm = 1\nblock = %norm\nA.b = 3\n")
    write(config_files.SLOT_SIZES, "d_ff = 4\nblock = 2\n")
    write("sizes/other.gin", "d_kv = 5\n")
    found = statements.declared_slots(str(tmp_path))
    assert list(found.items()) == [("norm", 1), ("block", 2), ("d_ff", 4)]
