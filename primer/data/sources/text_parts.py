"""The user's text files divided among the shards of a prepared data set.

Which documents a shard gets depends on the files and on the number of shards, never on who reads
them: one process, several, or machines. The files are laid end to end and cut into equal parts.
Plain lines are cut at the line, and a reader begins in the middle of the file. A compressed file
can only be read from its start, so that the shards whose parts lie in it take its lines in turn,
at most eight of them. A file that is one document belongs to the shard in which it begins.
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

# A compressed file is decompressed once for each; that is some thirty times as fast as tokenizing.
_MOST_READERS = 8
_TEXTS_AT_ONCE = 256


def file_sizes(settings: text_files.TextFiles) -> dict[str, int]:
    """The bytes of each file, in the order in which the files are laid end to end."""
    whole, by_line = settings.whole_and_lines()
    found = {}
    for path in whole + by_line:
        try:
            found[path] = tf.io.gfile.stat(path).length
        except tf.errors.OpError as error:
            raise UsageError(f"{path} cannot be read: {files.first_line(error)}") from error
    return found


def files_fingerprint(found: dict[str, int]) -> str:
    """Differs when a file has come, gone or changed its size."""
    lines = "".join(f"{path} {size}\n" for path, size in sorted(found.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def text_files_settings() -> dict:
    """The settings as gin has them: the globs as a list of absolute ones, not looked up."""
    found = text_files.TextFiles()
    patterns = [found.glob] if isinstance(found.glob, str) else list(found.glob or [])
    return {**dataclasses.asdict(found), "glob": list(map(_absolute, patterns)) or None}


def _absolute(pattern):
    return pattern if "://" in pattern else os.path.abspath(pattern)


def total_bytes() -> int:
    """Bytes of all files that gin names, as they are stored."""
    return sum(file_sizes(text_files.TextFiles().checked()).values())


def describe_input() -> dict:
    """What decides which documents there are, for the manifest of a prepared data set."""
    found = file_sizes(text_files.TextFiles().checked())
    return {
        "text_files": text_files_settings(),
        "input": {
            "files": len(found),
            "bytes": sum(found.values()),
            "fingerprint": files_fingerprint(found),
        },
    }


def divide_files(
    settings: text_files.TextFiles, found: dict[str, int], shards: int
) -> list[list[FilePart]]:
    """The pieces that each shard reads.

    Args:
        settings: the files and how they divide into documents.
        found: their sizes in bytes.
        shards: how many parts to make.
    """
    result = [[] for _ in range(shards)]
    total = max(sum(found.values()), 1)
    _, by_line = settings.whole_and_lines()
    by_line = set(by_line)
    begin = 0
    for path, size in found.items():
        first = min(begin * shards // total, shards - 1)  # An empty file may be behind the last.
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


def read_shard(index: int, shards: int, notes: readers.SkipCounts) -> Iterator[tuple[str, bytes]]:
    """The documents of one shard as (split, text), of the files that gin names."""
    settings = text_files.TextFiles().checked()
    pieces = divide_files(settings, file_sizes(settings), shards)[index]
    held_out = _held_out(settings.held_out)
    for texts in _batches(pieces, settings, notes):
        for content, out in zip(texts, held_out(texts), strict=True):
            yield ("validation" if out else "train"), content


@functools.lru_cache(maxsize=1)
def _held_out(share):
    return tf_data.TextFunction(lambda texts: text_files.is_held_out(texts, share))


def _batches(pieces, settings, notes):
    """Lists of texts, of a limited number and size."""
    batch, size = [], 0
    for piece in pieces:
        for content in readers.read_documents(piece, settings, notes):
            batch.append(content)
            size += len(content)
            if len(batch) == _TEXTS_AT_ONCE or size > formats.BATCH_BYTES:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch
