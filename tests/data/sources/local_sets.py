"""Reads and writes the files of local data sets, for the tests of their modules."""

import pathlib
import re

import pytest
import seqio

from primer.data import preflight, whole_documents
from primer.errors import UsageError

WIKIPEDIA = pathlib.Path(__file__).with_name("wikipedia")
LM1B_TEST = "heldout-monolingual.tokenized.shuffled/news.en.heldout-00000-of-00050"


def texts(task, split):
    """The texts of a split that evaluation counts."""
    return [text for text, _ in whole_documents.documents(task, split)]


def wikitext2(shared_data, split):
    """The bytes of a file of WikiText-2."""
    name = {"validation": "valid"}.get(split, split)
    return (shared_data / "wikitext-2" / f"wiki.{name}.tokens").read_bytes()


def write_lines(path, lines):
    """Writes lines, each with its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def error_of(task, split):
    """The one-line error of checking a split, after reading has given the same error."""
    with pytest.raises(UsageError) as error:
        preflight.check_split(task, split)
    message = str(error.value)
    assert "\n" not in message
    with pytest.raises(UsageError, match="^" + re.escape(message)):
        seqio.TaskRegistry.get(task).source.get_dataset(split)
    return message
