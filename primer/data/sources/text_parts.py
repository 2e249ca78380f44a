"""Divides the files of the task `text` among the shards of a prepared data set.

The division depends only on the files and the number of shards, not on the number of processes or
machines that read them. The files are concatenated and cut into equal parts. Uncompressed lines are
cut at a line end, and a reader starts in the middle of the file. A compressed file can only be read
from its start, so the shards whose parts lie in it take its lines in turn, at most eight shards.
A file that is one document belongs to the shard in which it starts.
"""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterator

import tensorflow as tf

from primer.common import files, tf_data
from primer.data.sources import formats, readers, text_files
from primer.data.sources.readers import FilePart
from primer.errors import UsageError

# A compressed file is decompressed once per reader, about thirty times as fast as tokenizing.
_MOST_READERS = 8
_TEXTS_AT_ONCE = 256


def file_sizes(settings: text_files.TextFiles) -> dict[str, int]:
    """Returns path -> bytes of each file, in the order in which the files are concatenated.

    Raises:
        UsageError: a file cannot be read.
    """
    whole, by_line = settings.whole_and_lines()
    sizes = {}
    for path in whole + by_line:
        try:
            sizes[path] = tf.io.gfile.stat(path).length
        except tf.errors.OpError as error:
            raise UsageError(f"{path} cannot be read: {files.first_line(error)}") from error
    return sizes


def files_fingerprint(sizes: dict[str, int]) -> str:
    """Returns a digest that changes when a file is added, removed or changes its size."""
    lines = "".join(f"{path} {size}\n" for path, size in sorted(sizes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def text_files_settings() -> dict:
    """Returns gin's settings of `text_files`, with absolute globs; matches no file."""
    settings = text_files.TextFiles()
    patterns = [settings.glob] if isinstance(settings.glob, str) else list(settings.glob or [])
    return {**dataclasses.asdict(settings), "glob": list(map(_absolute, patterns)) or None}


def _absolute(pattern):
    return pattern if "://" in pattern else os.path.abspath(pattern)


def total_bytes() -> int:
    """Returns the stored size of all files that text_files.glob matches."""
    return sum(file_sizes(text_files.TextFiles().checked()).values())


def describe_input() -> dict:
    """Returns what determines the documents, for the manifest of a prepared data set."""
    sizes = file_sizes(text_files.TextFiles().checked())
    return {
        "text_files": text_files_settings(),
        "input": {
            "files": len(sizes),
            "bytes": sum(sizes.values()),
            "fingerprint": files_fingerprint(sizes),
        },
    }


def divide_files(
    settings: text_files.TextFiles, sizes: dict[str, int], shards: int
) -> list[list[FilePart]]:
    """Returns the file parts that each shard reads.

    Args:
        settings: the files and how they divide into documents.
        sizes: path -> bytes.
        shards: number of shards.
    """
    result: list[list[FilePart]] = [[] for _ in range(shards)]
    total = max(sum(sizes.values()), 1)
    _, line_paths = settings.whole_and_lines()
    by_line = set(line_paths)
    begin = 0
    for path, size in sizes.items():
        first = min(begin * shards // total, shards - 1)  # An empty last file begins at the end.
        last = max(first, (begin + size - 1) * shards // total)
        if path not in by_line:
            result[first].append(FilePart(path))
        elif formats.can_seek(path):
            for number in range(first, last + 1):
                start, end = (-(-cut * total // shards) - begin for cut in (number, number + 1))
                result[number].append(FilePart(path, max(0, start), min(end, size)))
        else:
            owners = _spread(first, last)
            for part, number in enumerate(owners):
                result[number].append(FilePart(path, part=part, parts=len(owners)))
        begin += size
    return result


def _spread(first, last):
    """At most _MOST_READERS of the numbers first, ..., last, evenly spaced."""
    count = min(last - first + 1, _MOST_READERS)
    return [first + number * (last - first + 1) // count for number in range(count)]


def read_shard(index: int, shards: int, skipped: readers.SkipCounts) -> Iterator[tuple[str, bytes]]:
    """Yields (split, text) of the documents of one shard of the files that gin names."""
    settings = text_files.TextFiles().checked()
    parts = divide_files(settings, file_sizes(settings), shards)[index]
    is_held_out = _held_out_function(settings.held_out)
    for texts in _batches(parts, settings, skipped):
        for content, held_out in zip(texts, is_held_out(texts), strict=True):
            yield ("validation" if held_out else "train"), content


def document_files(split: str) -> list[str]:
    """Returns the file of each document of a split, in the order in which training reads them."""
    settings = text_files.TextFiles().checked()
    is_held_out = _held_out_function(settings.held_out)
    files_of_documents = []
    for path in file_sizes(settings):
        for texts in _batches([FilePart(path)], settings, readers.SkipCounts()):
            held_out = int(is_held_out(texts).sum())
            number = held_out if split == "validation" else len(texts) - held_out
            files_of_documents += [path] * number
    return files_of_documents


@functools.lru_cache(maxsize=1)
def _held_out_function(share):
    return tf_data.TextFunction(lambda texts: text_files.is_held_out(texts, share))


def _batches(parts, settings, skipped):
    """Yields lists of texts, limited in number and size."""
    batch, size = [], 0
    for part in parts:
        for content in readers.read_documents(part, settings, skipped):
            batch.append(content)
            size += len(content)
            if len(batch) == _TEXTS_AT_ONCE or size > formats.BATCH_BYTES:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch
