"""The bindings of a manifest are a fixed list of names with plain values."""

import dataclasses
import math

import pytest

from primer.data.prepared import recorded_bindings
from primer.data.sources.local_files import LocalData
from primer.data.sources.text_files import TextFiles
from primer.errors import UsageError


def test_the_list_has_all_settings_of_the_texts():
    for owner, settings in (("text_files", TextFiles), ("local_data", LocalData)):
        names = {f"{owner}.{field.name}" for field in dataclasses.fields(settings)}
        assert names == {name for name in recorded_bindings.NAMES if name.startswith(owner)}


def test_recorded_bindings_are_accepted():
    bindings = {
        "text_files.glob": ["/a/*.txt", "it's"],
        "text_files.held_out": 0.05,
        "text_files.normalize": None,
        "task_vocabulary.extra_ids": 100,
    }
    assert recorded_bindings.check(bindings, "primer.json") == bindings


@pytest.mark.parametrize(
    "bindings",
    [
        {"utils.run.train_model_fn": 3},
        {"import os\nutils.run.model_dir": "x"},
        {"text_files.glob = '/' \nd_model": 3},
        {"scope/text_files.glob": "x"},
        {"text_files.glob": {"a": 1}},
        {"text_files.glob": [["a"]]},
        {"text_files.held_out": math.inf},
        ["text_files.glob"],
    ],
)
def test_other_names_and_values_are_refused(bindings):
    with pytest.raises(UsageError, match=r"^data/primer.json"):
        recorded_bindings.check(bindings, "data/primer.json")
