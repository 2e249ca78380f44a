"""Divides the files of the task `text` among the shards of a prepared data set.

The division depends only on the files, the number of shards and a seed, not on the number of
processes or machines that read them. Each shard is a stratified sample of all files: the input is
cut into many blocks in the order of the files' names, and a shard gets one of each `shards`
consecutive blocks, which the seed selects. A block of files with a document per line is a range of
bytes, cut at line ends, where a reader can start in the middle of the file. A compressed file can
only be read from its start: its lines are dealt in turn to at most sixteen shards. A file that is
one document is a block.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from primer.common import files, mixed_order, tf_data, user_paths
from primer.data.sources import formats, readers, text_files
from primer.data.sources.readers import FilePart
from primer.errors import UsageError

SPLIT_RULE = "split_rule"  # The key of the rule in a manifest.
# A compressed file is decompressed once per reader, about thirty times as fast as tokenizing.
_MOST_READERS = 16
# A shard has at least so many blocks. It has an end of each source's blocks once at most, so that a
# source's share of a shard differs from that of the whole input by at most two of its blocks.
_FEWEST_BLOCKS = 64
_BLOCK_BYTES = 1 << 17
# What is divided, in the key of its order.
_FILES, _RANGES, _TURNS, _PARTS = range(4)
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
    return {
        **dataclasses.asdict(settings),
        "glob": list(map(user_paths.absolute, patterns)) or None,
    }


def input_files() -> list[str]:
    """Returns the files that text_files.glob matches."""
    return text_files.TextFiles().checked().paths()


def total_bytes() -> int:
    """Returns the stored size of all files that text_files.glob matches."""
    return sum(file_sizes(text_files.TextFiles().checked()).values())


def describe_input() -> dict:
    """Returns what determines the documents, for the manifest of a prepared data set."""
    sizes = file_sizes(text_files.TextFiles().checked())
    return {
        "text_files": text_files_settings(),
        SPLIT_RULE: text_files.SPLIT_RULE,
        "input": {
            "files": len(sizes),
            "bytes": sum(sizes.values()),
            "fingerprint": files_fingerprint(sizes),
        },
    }


def parts_of_shard(
    settings: text_files.TextFiles,
    sizes: dict[str, int],
    index: int,
    shards: int,
    seed: int | None = None,
) -> list[FilePart]:
    """Returns the file parts that one shard reads.

    Args:
        settings: the files and how they divide into documents.
        sizes: path -> bytes.
        index: the shard, from 0.
        shards: the number of shards.
        seed: selects each shard's blocks, and their order; None for one block per shard and file,
            in the order of the names.
    """
    whole, by_line = settings.whole_and_lines()
    ranged = {path: sizes[path] for path in by_line if formats.can_seek(path)}
    in_turn = {path: sizes[path] for path in by_line if path not in ranged}
    own = mixed_order.share(len(whole), index, shards, *_key(seed, _FILES))
    parts = [
        *(FilePart(whole[number]) for number in own),
        *_ranges(ranged, index, shards, seed),
        *_turns(in_turn, index, shards, seed),
    ]
    if seed is None:
        return parts
    return [parts[place] for place in mixed_order.permutation(len(parts), seed, _PARTS, index)]


def _key(seed, kind):
    return () if seed is None else (seed, kind)


def _ranges(sizes, index, shards, seed):
    """Returns a shard's ranges of bytes of the concatenated files."""
    paths = list(sizes)
    starts = np.zeros(len(paths) + 1, np.int64)
    np.cumsum(list(sizes.values()), out=starts[1:])
    total = int(starts[-1])
    blocks = shards
    if seed is not None:
        blocks *= max(_FEWEST_BLOCKS, -(-total // (shards * _BLOCK_BYTES)))
    parts = []
    for block in mixed_order.share(blocks, index, shards, *_key(seed, _RANGES)).tolist():
        begin, end = (total * cut // blocks for cut in (block, block + 1))
        number = int(np.searchsorted(starts, begin, "right")) - 1
        while begin < end:
            stop = min(end, int(starts[number + 1]))
            if begin < stop:
                offset = int(starts[number])
                parts.append(FilePart(paths[number], begin - offset, stop - offset))
            begin, number = stop, number + 1
    return parts


def _turns(sizes, index, shards, seed):
    """Returns a shard's parts of files that are read from their start."""
    total = max(sum(sizes.values()), 1)
    parts = []
    for path, size in sizes.items():
        wanted = max(1, _FEWEST_BLOCKS * shards * size // total)
        readers_of_file = min(shards, _MOST_READERS, wanted)
        parts += [
            FilePart(path, part=part, parts=readers_of_file) for part in range(readers_of_file)
        ]
    own = mixed_order.share(len(parts), index, shards, *_key(seed, _TURNS))
    return [parts[number] for number in own]


def read_shard(
    index: int, shards: int, skipped: readers.SkipCounts, seed: int | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yields (split, text) of the documents of one shard of the files that gin names."""
    settings = text_files.TextFiles().checked()
    parts = parts_of_shard(settings, file_sizes(settings), index, shards, seed)
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
