"""Reads the texts of a task's split before tokenization, to build and measure vocabularies.

They come from the task's own source and preprocessors: they are the texts that training tokenizes.
"""

import functools
from collections.abc import Iterator

import seqio
import tensorflow as tf

from primer.common import files, tf_data
from primer.data import preflight, whole_documents
from primer.data.sources import corrupt_records
from primer.errors import UsageError

_DOCUMENTS_AT_ONCE = 16


def subtasks(name: str) -> list[seqio.Task]:
    """Returns the task of this name, or the tasks of a mixture.

    Raises:
        UsageError: no task has this name, or its texts cannot be determined.
    """
    tasks = list(seqio.get_subtasks(preflight.find_task(name)))
    for task in tasks:
        whole_documents.text_steps(task)
    return tasks


def check_split(name: str, split: str, tfds_data_dir: str | None = None) -> None:
    """Raises UsageError unless the split can be read; does not load the vocabulary."""
    for task in subtasks(name):
        if split not in task.splits:
            raise UsageError(
                f"task {task.name} has no split {split!r}; it has {', '.join(task.splits)}"
            )
        if hasattr(task.source, "check"):
            task.source.check(split, tfds_data_dir)


def split_texts(name: str, split: str) -> Iterator[bytes]:
    """Yields the documents of a split, each once, in the source's order; task by task of a mixture.

    Raises:
        UsageError: a document cannot be read; `check_split` finds other errors earlier.
        RunError: a record is damaged.
    """
    for task in subtasks(name):
        try:
            with corrupt_records.name_corrupt_file(task):
                for batch in tf_data.elements(functools.partial(_batches, task, split)):
                    yield from map(_drop_cut_characters, batch)
        except tf.errors.OpError as error:
            raise UsageError(
                f"task {name}, split {split!r}: a document is damaged or not UTF-8 "
                f"({files.first_line(error)}); repair the file or leave it out"
            ) from error


def _drop_cut_characters(text):
    """A text without incomplete characters at its ends, where a split's border cut them."""
    start = 0
    while start < min(3, len(text)) and text[start] & 0xC0 == 0x80:
        start += 1
    text = text[start:]
    try:
        text.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            raise UsageError(
                f"a document that begins with {text[:40]!r} is not UTF-8 ({error.reason} at byte "
                f"{error.start}); repair its file or leave it out"
            ) from error
        return text[: error.start]
    return text


def _batches(task, split):
    dataset = task.source.get_dataset(split=split, shuffle=False)
    for step in whole_documents.text_steps(task):
        dataset = step(dataset)
    return dataset.map(lambda example: example["targets"]).batch(_DOCUMENTS_AT_ONCE)
