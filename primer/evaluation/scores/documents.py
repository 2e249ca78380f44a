"""Reads and tokenizes the documents of files or of a split, in their order, chunk by chunk.

Files are read as by the task `text` (`primer.data.sources.readers`): UTF-8 in .txt, .jsonl, .gz,
.zst, .xz and .parquet. Documents of white space alone are skipped.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import seqio

from primer.common.settings import evaluation_settings
from primer.data import preflight, whole_documents
from primer.data.sources import formats, readers
from primer.data.sources import text_files as text_task
from primer.data.vocabularies.round_trip import RoundTrip
from primer.errors import UsageError
from primer.evaluation import tokenized_split
from primer.evaluation.tokenized_split import TokenizedSplit

UNITS = evaluation_settings.UNITS_OF_FILES
_MAX_DOCUMENTS = 8192  # In a chunk; of long documents, about formats.BATCH_BYTES characters.


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Some consecutive documents.

    Attributes:
        sources: the origin of each document: its file, or "<task>/<split>".
        numbers: the number of each document there, from 1; in a file, that of its line or row.
        text: the tokens of the documents.
    """

    sources: list[str]
    numbers: list[int]
    text: TokenizedSplit


def find_files(
    patterns: Sequence[str], unit: str, field: str
) -> tuple[list[str], text_task.TextFiles]:
    """Returns the files that match patterns, in the order of the patterns, and how to read them.

    Args:
        patterns: paths or globs, each of at least one file.
        unit: "file" or "line": what a document of a .txt file is.
        field: the key of the text in .jsonl, the column in .parquet.

    Raises:
        UsageError: no file matches, a file has another suffix, or the unit is unknown.
    """
    evaluation_settings.check_score_unit(unit)
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


def read_files(
    paths: Sequence[str],
    settings: text_task.TextFiles,
    vocabulary: seqio.Vocabulary,
    are_lines: bool,
) -> Iterator[Chunk]:
    """Yields the documents of files.

    Args:
        paths, settings: from `find_files`.
        vocabulary: tokenizes the documents.
        are_lines: whether the end of a document counts as a word.

    Raises:
        UsageError: while reading, a file cannot be read.
    """
    round_trip = RoundTrip(vocabulary)
    for sources, numbers, contents in _grouped(_read(paths, settings)):
        pairs = zip(contents, whole_documents.encode(vocabulary, contents), strict=True)
        text = tokenized_split.from_documents(pairs, vocabulary.eos_id, are_lines, round_trip)
        yield Chunk(sources, numbers, text)


def read_split(task_name: str, split: str) -> Iterator[Chunk]:
    """Yields the documents of a split of a task.

    Raises:
        UsageError: while reading, the split cannot be read.
    """
    source = f"{task_name}/{split}"
    if not whole_documents.keeps_text(task_name):
        # Documents of token records end at end tokens, wherever the records end.
        whole = tokenized_split.read_split(task_name, split)
        number = len(whole.lengths)
        yield Chunk([source] * number, list(range(1, number + 1)), whole)
        return
    vocabulary = preflight.find_task(task_name).output_features["targets"].vocabulary
    are_lines = whole_documents.are_lines(task_name)
    numbered = enumerate(whole_documents.documents(task_name, split), 1)
    items = ((source, number, text, ids) for number, (text, ids) in numbered)
    round_trip = RoundTrip(vocabulary)
    for sources, numbers, contents, ids in _grouped(items):
        pairs = zip(contents, ids, strict=True)
        text = tokenized_split.from_documents(pairs, vocabulary.eos_id, are_lines, round_trip)
        yield Chunk(sources, numbers, text)


def _read(paths, settings):
    for path in paths:
        for number, content in readers.read_numbered_documents(readers.FilePart(path), settings):
            yield path, number, content.decode()


def _grouped(items):
    """Yields columns of items, whose third value is a text, in groups of bounded size."""
    group, size = [], 0
    for item in items:
        group.append(item)
        size += len(item[2])
        if size >= formats.BATCH_BYTES or len(group) >= _MAX_DOCUMENTS:
            yield map(list, zip(*group, strict=True))
            group, size = [], 0
    if group:
        yield map(list, zip(*group, strict=True))
