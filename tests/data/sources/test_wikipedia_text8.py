"""text8's filter against the original, run by Perl, and the command that writes its output."""

import argparse
import pathlib

import pytest

from primer.commands.data import text8
from primer.data.sources import wikipedia_text8
from primer.errors import RunError, UsageError

WIKIPEDIA = pathlib.Path(__file__).with_name("wikipedia")
EXCERPT = WIKIPEDIA / "excerpt.xml"
PLAIN = (WIKIPEDIA / "excerpt.text8").read_bytes()


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_it_gives_what_the_original_gives(size):
    content = EXCERPT.read_bytes()
    chunks = (content[start : start + size] for start in range(0, len(content), size))
    assert b"".join(wikipedia_text8.plain_text(chunks)) == PLAIN


def test_what_it_takes_away_and_what_it_keeps():
    article = (
        b"<title>Not this</title><text x='y'>A [[car|motor car]] of 1905, [[Image:car.png|thumb|"
        b"20px|the Caption]]{{box}} &amp;amp; [[fr:Voiture]][[Category:Cars|*]] [http://a.b link]"
        b"\xc3\xa9t\xc3\xa9</text><text>#REDIRECT [[Other]]</text> after"
    )
    found = b"".join(wikipedia_text8.plain_text([article]))
    assert found == b" a motor car of one nine zero five the caption cars link t"


def run(*words):
    parser = argparse.ArgumentParser()
    text8.add_arguments(parser)
    return text8.run(parser.parse_args([str(word) for word in words]))


def test_the_command_writes_all_or_so_many_characters(tmp_path, capsys):
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
def test_a_failure_is_one_line_and_leaves_nothing(tmp_path, words, error, message):
    with pytest.raises(error, match=message) as caught:
        run(*words, "--output", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "out").write_text("precious")
    with pytest.raises(UsageError, match="there already"):
        run("--input", EXCERPT, "--output", tmp_path / "out", "--all")
    assert (tmp_path / "out").read_text() == "precious"


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    with pytest.raises(RunError, match="out cannot be written: No such file"):
        run("--input", EXCERPT, "--output", tmp_path / "no" / "out", "--all")
