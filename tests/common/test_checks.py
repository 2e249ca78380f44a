"""Checks of numbers and of output files: valid values, and the errors of the others."""

import pytest

from primer.common import checks
from primer.errors import UsageError


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", None])
def test_other_types_and_small_numbers_are_refused(value):
    with pytest.raises(UsageError, match=r"shards = .*: expected a whole number of 1 or more"):
        checks.whole_number("shards", value)


def test_valid_values_are_returned():
    assert checks.whole_number("seed", 0, least=0) == 0
    assert checks.positive_number("rate", 0.5) == 0.5


@pytest.mark.parametrize("value", [0, -0.5, float("inf"), float("nan"), True, "1", None])
def test_other_types_and_infinite_numbers_are_refused(value):
    with pytest.raises(ValueError, match=r"rate = .*: expected seconds"):
        checks.positive_number("rate", value, "seconds", ValueError)


def test_an_output_never_replaces_an_input(tmp_path, monkeypatch):
    """However its path is spelled, and whatever the user agrees to."""
    text = tmp_path / "text.txt"
    text.write_text("input")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.txt").symlink_to(text)
    (tmp_path / "hard.txt").hardlink_to(text)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    spellings = ["text.txt", "./folder/../text.txt", "link.txt", "hard.txt", "~/text.txt"]
    for path in spellings:
        for own in spellings:
            with pytest.raises(UsageError, match="--output .* which this command reads"):
                checks.output_file(path, "--output", True, ["folder/none", own])


def test_an_output_replaces_a_file_on_request_only(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "old").write_text("earlier")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path in (str(tmp_path / "old"), str(tmp_path / "dangling"), "~/old"):
        with pytest.raises(UsageError, match="old|dangling .* there already; .* add --overwrite"):
            checks.output_file(path, "--output", False)
        with pytest.raises(UsageError, match="name another file$"):
            checks.output_file(path, "--output")
        checks.output_file(path, "--output", True, [str(tmp_path / "other")])
    checks.output_file(str(tmp_path / "new"), "--output")


def test_a_text_or_a_number_is_no_boolean():
    assert checks.boolean("x", False) is False
    for value in ("no", 1, None):
        with pytest.raises(UsageError, match=f"x = {value!r}: expected True or False"):
            checks.boolean("x", value)
