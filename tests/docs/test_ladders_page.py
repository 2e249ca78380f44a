"""The commands of docs/ladders.md are legal, and its tables have every option and rule."""

import argparse
import re
import shlex

from primer.commands import ladder
from primer.experiments.ladders import rules, rungs
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "ladders.md").read_text(encoding="utf-8")


def parser():
    result = argparse.ArgumentParser()
    ladder.add_arguments(result)
    return result


def test_the_commands_describe_ladders():
    commands = re.findall(r"^primer ladder (.*)$", PAGE, re.MULTILINE)
    for words in commands:
        request = ladder.request_of(parser().parse_args(shlex.split(words)))
        assert len(rungs.commands(request)) == 6
    assert len(commands) == 2


def test_the_tables_are_complete():
    options = {word for action in parser()._actions for word in action.option_strings}
    for word in options - {"-h", "--help", "--t5_tfds_data_dir"}:
        assert f"`{word}`" in PAGE or f"`{word} " in PAGE, word
    for name in rules.NAMES:
        assert f"| `{name}` |" in PAGE
