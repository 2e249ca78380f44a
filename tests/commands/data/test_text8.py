"""`primer data text8`: writes the whole output or nothing."""

import argparse
import pathlib

import pytest

from primer.commands.data import text8
from primer.errors import RunError, UsageError
from tests.data import sources

WIKIPEDIA = pathlib.Path(sources.__file__).with_name("wikipedia")


EXCERPT = WIKIPEDIA / "excerpt.xml"
PLAIN = (WIKIPEDIA / "excerpt.text8").read_bytes()


def run(*words):
    parser = argparse.ArgumentParser()
    text8.add_arguments(parser)
    return text8.run(parser.parse_args([str(word) for word in words]))


def test_all_or_the_first_characters_are_written(tmp_path, capsys):
    assert run("--input", EXCERPT, "--output", tmp_path / "all", "--all") == 0
    assert (tmp_path / "all").read_bytes() == PLAIN
    run("--input", EXCERPT, "--output", tmp_path / "text8", "--characters", 5000)
    assert (tmp_path / "text8").read_bytes() == PLAIN[:5000]
    assert "5,000 characters" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, error, message",
    [
        (["--input", "nothing"], UsageError, "enwik9.zip"),
        (["--input", EXCERPT], RunError, "gives 11,704 characters.*expected 100,000,000"),
        (["--input", EXCERPT, "--characters", "0"], UsageError, "positive"),
        (["--input", EXCERPT, "--characters", "5", "--all"], UsageError, "one or the other"),
        (["--input", WIKIPEDIA / "README.md", "--all"], RunError, "not an export of MediaWiki"),
    ],
)
def test_errors_are_one_line_and_leave_no_file(tmp_path, words, error, message):
    with pytest.raises(error, match=message) as caught:
        run(*words, "--output", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_not_overwritten(tmp_path):
    (tmp_path / "out").write_text("precious")
    with pytest.raises(UsageError, match="there already"):
        run("--input", EXCERPT, "--output", tmp_path / "out", "--all")
    assert (tmp_path / "out").read_text() == "precious"


def test_error_names_an_output_that_cannot_be_written(tmp_path):
    with pytest.raises(RunError, match="out cannot be written: No such file"):
        run("--input", EXCERPT, "--output", tmp_path / "no" / "out", "--all")
