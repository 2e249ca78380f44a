"""The documents that are scored: of files or of a split, in their order, a piece of text at a time.

Files are read as those of the task `text` (`primer.data.sources.readers`): UTF-8 in .txt, .jsonl,
.gz, .zst, .xz and .parquet; documents of nothing but white space are none.
"""

import dataclasses
from collections.abc import Iterator

from primer.data import preflight, whole_documents
from primer.data.sources import formats, readers
from primer.data.sources import text_files as text_task
from primer.errors import UsageError
from primer.evaluation import tokenized_split as texts

UNITS = ("file", "line")
_MOST = 8192  # Documents at a time; of longer ones, about formats.BATCH_BYTES bytes.


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Some documents, one after the other.

    Attributes:
        sources: where each is from: its file, or "<task>/<split>".
        numbers: which document of that it is, from 1: of a file the number of its line or row.
        text: a `primer.evaluation.tokenized_split.Text` of them.
    """

    sources: list
    numbers: list
    text: texts.Text


def check_files(patterns, unit, field):
    """The files that patterns name, in the order of the patterns, and how to read them.

    Args:
        patterns: paths or globs, each of at least one file.
        unit: "file" or "line": what a document of a .txt file is.
        field: the key of the text in .jsonl, the column in .parquet.

    Returns:
        (paths, a `primer.data.sources.text_files.TextFiles`).

    Raises:
        UsageError: no such file, one of another suffix, or another unit.
    """
    if unit not in UNITS:
        raise UsageError(f"score_texts.unit = {unit!r} (--unit): expected {' or '.join(UNITS)}")
    paths = [
        path for pattern in patterns for path in text_task.expand_glob(pattern, "score_texts.files")
    ]
    for path in paths:
        if not path.endswith(text_task.SUFFIXES):
            raise UsageError(
                f"score_texts.files has {path}: expected files that end in "
                f"{', '.join(text_task.SUFFIXES)}"
            )
    return paths, text_task.TextFiles(glob=paths, unit=unit, field=field).checked()


def of_files(paths, settings, vocabulary, are_lines) -> Iterator[Chunk]:
    """The documents of files.

    Args:
        paths, settings: as `check_files` gave them.
        vocabulary: a seqio vocabulary.
        are_lines: whether papers count the end of such a document as a word.

    Raises:
        UsageError: on the way, for a file that cannot be read.
    """
    for sources, numbers, contents in _grouped(_read(paths, settings)):
        ids = whole_documents.encode(vocabulary, contents)
        yield _chunk(sources, numbers, contents, ids, vocabulary, are_lines)


def of_split(task_name, split) -> Iterator[Chunk]:
    """The documents of a split of a task.

    Raises:
        UsageError: on the way, when it cannot be read.
    """
    source = f"{task_name}/{split}"
    if not whole_documents.keeps_text(task_name):
        # A record ends anywhere: documents are what lies between two end tokens of all records.
        whole = texts.read(task_name, split)
        number = len(whole.lengths)
        yield Chunk([source] * number, list(range(1, number + 1)), whole)
        return
    vocabulary = preflight.find_task(task_name).output_features["targets"].vocabulary
    are_lines = whole_documents.are_lines(task_name)
    found = enumerate(whole_documents.documents(task_name, split), 1)
    items = ((source, number, text, ids) for number, (text, ids) in found)
    for group in _grouped(items):
        yield _chunk(*group, vocabulary, are_lines)


def _read(paths, settings):
    for path in paths:
        for number, content in readers.read_numbered_documents(readers.FilePart(path), settings):
            yield path, number, content.decode()


def _grouped(items):
    """Columns of items, the third of which is a text: _MOST, or formats.BATCH_BYTES characters."""
    group, size = [], 0
    for item in items:
        group.append(item)
        size += len(item[2])
        if size >= formats.BATCH_BYTES or len(group) >= _MOST:
            yield map(list, zip(*group, strict=True))
            group, size = [], 0
    if group:
        yield map(list, zip(*group, strict=True))


def _chunk(sources, numbers, contents, ids, vocabulary, are_lines):
    pairs = zip(contents, ids, strict=True)
    return Chunk(sources, numbers, texts.of_documents(pairs, vocabulary.eos_id, are_lines))
