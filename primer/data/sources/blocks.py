"""Cuts long local files into training documents, and into the texts that evaluation counts.

A block is a byte range of a file: an article of WikiText, or about `local_data.block_bytes` of a
data set without documents. The blocks of a split cover it in order, every byte once. Their borders
depend on the file only, so any number of readers cuts in the same places. A border lies after a
line end; in a text that is counted in bytes and has no line end nearby, after a blank; without
either (as at some borders of enwik8's standard split) anywhere, even inside a character. Texts are
therefore bytes, which tf.data passes on unchanged.

Where a text is a line, a block drops its last line end: the vocabulary and the objective decide
what joins the lines of a document and what ends it (`primer.data.vocabularies.lines`).
"""

import functools
import re
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from primer.common import files, mixed_order
from primer.data.sources import local_files
from primer.data.sources.local_datasets import LocalDataset

# A title with the blank lines around it; section headings have several equality signs.
# The fixed prefix makes the search ten times as fast.
_TITLE = re.compile(rb"\n \n = [^=\n][^\n]* = (?=\n \n)")
_SCAN_BYTES = 1 << 24
_LONGEST_TITLE = 1 << 12

# Maximum bytes between a border and its nominal position.
_NEAR = 1 << 12


def split_documents(local_set: LocalDataset, split: str) -> tf.data.Dataset:
    """Returns the training documents of a split in order, as {"text": scalar string}."""
    ranges = tf.data.Dataset.from_tensor_slices(_ranges(local_set, split))
    return _read_ranges(local_set, ranges)


def split_part(
    local_set: LocalDataset, split: str, index: int, parts: int, seed: int | None = None
) -> tf.data.Dataset:
    """Returns part `index` of `parts` of a split, one of each `parts` blocks; reads no other part.

    Args:
        local_set: the data set.
        split: the split.
        index, parts: which part of how many; they are disjoint.
        seed: selects the blocks of each part; None for every `parts`-th block.
    """
    ranges = _ranges(local_set, split)
    key = () if seed is None else (seed,)
    items = mixed_order.share(len(ranges[0]), index, parts, *key)
    own = tuple(column[items] for column in ranges)
    return _read_ranges(local_set, tf.data.Dataset.from_tensor_slices(own))


def _read_ranges(local_set, dataset):
    read = functools.partial(_read_block, local_set.blocks)
    dataset = dataset.map(
        lambda *block: tf.ensure_shape(
            tf.numpy_function(read, block, tf.string, stateful=False), []
        ),
        tf.data.AUTOTUNE,
    )
    dataset = dataset.filter(lambda text: tf.strings.length(text) > 0)
    if local_set.unit == "line":
        dataset = dataset.map(lambda text: tf.strings.regex_replace(text, r"\n\z", ""))
    return dataset.map(lambda text: {"text": text})


def evaluation_texts(local_set: LocalDataset, split: str) -> tf.data.Dataset:
    """Returns the texts that evaluation counts, in order: each line, or the whole split."""
    dataset = split_documents(local_set, split).map(lambda example: example["text"])
    if local_set.unit == "line":
        dataset = dataset.flat_map(
            lambda text: tf.data.Dataset.from_tensor_slices(tf.strings.split(text, "\n"))
        )
    else:
        dataset = dataset.batch(np.iinfo(np.int64).max).map(tf.strings.reduce_join)
    return dataset.map(lambda text: {"text": text})


def _ranges(local_set, split):
    """Columns (path, section start and end, nominal block start and end), a row per block."""
    step = local_files.LocalData().checked().block_bytes
    rows = []
    for path in local_files.split_paths(local_set, split):
        size = tf.io.gfile.stat(path).length
        first, end = (size * percent // 100 for percent in local_set.splits[split].part)
        if local_set.blocks == "article":
            cuts = [cut for cut in article_starts(path) if first < cut < end]
        else:
            cuts = list(range(first + step, end, step)) if step else []
        borders = [first, *cuts, end]
        rows += [(path, first, end, *pair) for pair in zip(borders, borders[1:], strict=False)]
    columns = zip(*rows, strict=True)
    return tuple(np.array(column) for column in columns)


def document_files(local_set: LocalDataset, split: str) -> list[str]:
    """Returns the file of each training document of a split, in order."""
    read = functools.partial(_read_block, local_set.blocks)
    rows = zip(*_ranges(local_set, split), strict=True)
    return [str(path) for path, *block in rows if read(path.encode(), *block).item()]


def article_starts(path: str) -> list[int]:
    """Returns the byte offset of each article of a WikiText file: the blank line before its title.

    It finds the 60 articles of the validation split and the 60 of the test split.
    """
    return _article_starts(path, files.stamp(path))


@functools.lru_cache(maxsize=16)
def _article_starts(path, stamp) -> list[int]:
    del stamp  # Part of the cache's key only.
    return list(_scan(path))


def _scan(path) -> Iterator[int]:
    buffer, start, last = b"\n", -1, -1
    with tf.io.gfile.GFile(path, "rb") as file:
        while chunk := file.read(_SCAN_BYTES):
            buffer += chunk
            for match in _TITLE.finditer(buffer):
                position = start + match.start() + 1
                if position > last:
                    last = position
                    yield position
            # A title may continue in the next chunk.
            dropped = max(0, len(buffer) - _LONGEST_TITLE)
            buffer, start = buffer[dropped:], start + dropped


def _read_block(kind, path, first, end, nominal_first, nominal_end):
    """The bytes of one block, as a numpy scalar."""
    with tf.io.gfile.GFile(path.decode(), "rb") as file:
        border = functools.partial(_border, file, kind, int(first), int(end))
        start, stop = border(int(nominal_first)), border(int(nominal_end))
        file.seek(start)
        # numpy's own string type would drop trailing zero bytes.
        return np.array(file.read(stop - start) if stop > start else b"", dtype=object)


def _border(file, kind, first, end, nominal) -> int:
    """The last possible border up to byte `nominal` of the section from first to end."""
    if kind == "article" or nominal in (first, end):
        return nominal
    low = max(first, nominal - _NEAR)
    found = _after_last(file, low, nominal, b"\n")
    if kind == "bytes":
        return found or _after_last(file, low, nominal, b" ") or nominal
    while not found and low > first:
        nominal, low = low, max(first, low - _NEAR)
        found = _after_last(file, low, nominal, b"\n")
    return found or first


def _after_last(file, low, high, mark) -> int | None:
    file.seek(low)
    position = file.read(high - low).rfind(mark)
    return None if position < 0 else low + position + 1
