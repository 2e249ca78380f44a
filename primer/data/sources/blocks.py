"""Long local files as training documents, byte for byte, and as the texts that evaluation counts.

A block is a range of a file: an article of WikiText, or about `local_data.block_bytes` of what has
no documents. One after the other, the blocks of a split are the split, every byte once: borders
depend on the file alone, so that any number of readers cut in the same places. They lie behind a
line's end; where a text that is counted in bytes has none near, behind a blank; where it has none
of these either (a border of the standard split of enwik8, say), anywhere, even within a character.
Texts are therefore bytes, which tf.data hands on as they are.

Where a text is a line, blocks lose their last line's end: what joins the lines of a document, and
what ends it, is the vocabulary's and the objective's affair (`primer.data.vocabularies.lines`).
"""

import functools
import re
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from primer.data.sources import local_files
from primer.data.sources.local_datasets import LocalDataset

# A title and the blank lines around it; headings of sections have several signs of equality.
# It begins with what is always the same, which makes the search ten times as fast.
_TITLE = re.compile(rb"\n \n = [^=\n][^\n]* = (?=\n \n)")
_SCANNED = 1 << 24
_LONGEST_TITLE = 1 << 12

# How far before its nominal place a border may lie.
_NEAR = 1 << 12


def split_documents(local_set: LocalDataset, split: str, shuffle: bool, seed) -> tf.data.Dataset:
    """The training documents of a split, as {"text": scalar string}.

    Without `shuffle` in the order of the files; with it in any order, new in each epoch, that the
    seed fixes.
    """
    ranges = _ranges(local_set, split)
    dataset = tf.data.Dataset.from_tensor_slices(ranges)
    if shuffle:
        dataset = dataset.shuffle(len(ranges[0]), seed=seed)
    return _of_ranges(local_set, dataset)


def split_part(local_set: LocalDataset, split: str, index: int, parts: int) -> tf.data.Dataset:
    """One of so many parts of the split that follow each other, without reading the others."""
    ranges = _ranges(local_set, split)
    first, end = (len(ranges[0]) * number // parts for number in (index, index + 1))
    own = tuple(column[first:end] for column in ranges)
    return _of_ranges(local_set, tf.data.Dataset.from_tensor_slices(own))


def _of_ranges(local_set, dataset):
    read = functools.partial(_read, local_set.blocks)
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
    """What evaluation counts, in the files' order: each line, or the whole split as one text."""
    dataset = split_documents(local_set, split, False, None).map(lambda example: example["text"])
    if local_set.unit == "line":
        dataset = dataset.flat_map(
            lambda text: tf.data.Dataset.from_tensor_slices(tf.strings.split(text, "\n"))
        )
    else:
        dataset = dataset.batch(np.iinfo(np.int64).max).map(tf.strings.reduce_join)
    return dataset.map(lambda text: {"text": text})


def _ranges(local_set, split):
    """Columns (path, first and end of the section, nominal first and end), a row for each block."""
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


def article_starts(path: str) -> list[int]:
    """Where the articles of a WikiText file start: at the blank line before each title, in bytes.

    That finds the 60 articles of the validation and of the test split.
    """
    return _titles(path, local_files.file_stamp(path))


@functools.lru_cache(maxsize=16)
def _titles(path, version) -> list[int]:
    return list(_scan(path))


def _scan(path) -> Iterator[int]:
    buffer, start, found = b"\n", -1, -1
    with tf.io.gfile.GFile(path, "rb") as file:
        while chunk := file.read(_SCANNED):
            buffer += chunk
            for match in _TITLE.finditer(buffer):
                place = start + match.start() + 1
                if place > found:
                    found = place
                    yield place
            # A title may go on in the next chunk.
            dropped = max(0, len(buffer) - _LONGEST_TITLE)
            buffer, start = buffer[dropped:], start + dropped


def _read(kind, path, first, end, nominal_first, nominal_end):
    """The bytes of one block, as a numpy scalar."""
    with tf.io.gfile.GFile(path.decode(), "rb") as file:
        border = functools.partial(_border, file, kind, int(first), int(end))
        start, stop = border(int(nominal_first)), border(int(nominal_end))
        file.seek(start)
        # Not as numpy's own kind of strings, which lose zeros at their end.
        return np.array(file.read(stop - start) if stop > start else b"", dtype=object)


def _border(file, kind, first, end, nominal) -> int:
    """Where a border lies that is nominally at byte `nominal` of the section from first to end."""
    if kind == "article" or nominal in (first, end):
        return nominal
    low = max(first, nominal - _NEAR)
    found = _behind_last(file, low, nominal, b"\n")
    if kind == "bytes":
        return found or _behind_last(file, low, nominal, b" ") or nominal
    while not found and low > first:
        nominal, low = low, max(first, low - _NEAR)
        found = _behind_last(file, low, nominal, b"\n")
    return found or first


def _behind_last(file, low, high, mark) -> int | None:
    file.seek(low)
    position = file.read(high - low).rfind(mark)
    return None if position < 0 else low + position + 1
