"""Reads the user's text files as documents, with a held-out share.

    text_files.glob = "/data/books/**/*.txt.gz"     # or a list of globs
    text_files.unit = "file"                        # a document is a file, or a "line"
    text_files.field = "text"                       # the key in .jsonl, the column in .parquet
    text_files.held_out = 0.05                      # share of the documents for validation
    text_files.on_bad_utf8 = "skip"                 # leave out documents that are not UTF-8
    text_files.normalize = "nfkc"                   # repair and normalize with ftfy (None)

Files are UTF-8 and end in .txt or .jsonl, optionally with .gz, .zst or .xz, or in .parquet. Line
ends become "\\n"; a byte order mark and documents of white space only are dropped. The split of a
document depends on its text only, so it stays the same when files are added, renamed or joined, and
a document that occurs twice is never both trained and evaluated on.
"""

import collections
import dataclasses
import functools
import glob as glob_module
import itertools
import os
from collections.abc import Iterator

import gin
import numpy as np
import tensorflow as tf

from primer.common import checks, files
from primer.data.sources import formats, readers
from primer.errors import UsageError

SPLITS = ("train", "validation")
SUFFIXES = (*formats.SUFFIXES, formats.PARQUET)

_SHARE_STEPS = 1_000_000  # The held-out share is kept to six decimals.
_LINES_AT_ONCE = 256
_MOST_OPEN_READERS = 64
_UNLIMITED = 1 << 62


@gin.configurable("text_files", module="primer")
@dataclasses.dataclass(frozen=True)
class TextFiles:
    """The files of the task `text`, and how they divide into documents and splits.

    Attributes:
        glob: a pattern, or a list of them; `**` matches folders of any depth.
        unit: "file" or "line"; a line of .jsonl and a row of .parquet is always a document.
        field: the key of the text in a line of .jsonl, the column of it in .parquet.
        held_out: share of the documents that is the validation split, from 0 to below 1.
        on_bad_utf8: "error", or "skip" to leave out documents that are not UTF-8.
        normalize: None, or "nfkc": ftfy repairs broken encodings, makes quotation marks straight
            and line ends "\\n", and converts the text to Unicode's form NFKC.
        max_document_bytes: maximum size of a document; a longer one is most likely not a document.
    """

    glob: str | list[str] | None = None
    unit: str = "file"
    field: str = "text"
    held_out: float = 0.05
    on_bad_utf8: str = "error"
    normalize: str | None = None
    max_document_bytes: int = 1 << 26

    def checked(self) -> "TextFiles":
        """Returns itself; raises UsageError for an invalid setting."""
        # Not in __post_init__: gin appends lines to an error that is raised there.
        if not self.glob:
            raise UsageError(
                "text_files.glob is not set; set it to your files, as in "
                "--gin_param=\"text_files.glob = '/data/*.txt'\""
            )
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                expected = " or ".join(map(repr, choices))
                raise UsageError(f"text_files.{name} is {value!r}; expected {expected}")
        checks.whole_number("text_files.max_document_bytes", self.max_document_bytes)
        if not 0 <= self.held_out < 1:
            raise UsageError(
                f"text_files.held_out is {self.held_out!r}; expected a share from 0 up to, but "
                "not including, 1"
            )
        return self

    def paths(self) -> list[str]:
        """Returns the files that the globs match, sorted.

        Raises:
            UsageError: no file matches, or one has a suffix that is not in SUFFIXES.
        """
        paths = expand_glob(self.glob or [], "text_files.glob")
        for path in paths:
            if not path.endswith(SUFFIXES):
                raise UsageError(
                    f"text_files.glob matches {path}; expected files that end in "
                    f"{', '.join(SUFFIXES)}"
                )
        return paths

    def whole_and_lines(self) -> tuple[list[str], list[str]]:
        """Returns (files that are one document, files with a document per line or row)."""
        paths = self.paths()
        by_line = {path for path in paths if self.unit == "line" or not path.endswith(_WHOLE)}
        return [path for path in paths if path not in by_line], sorted(by_line)

    def read_by_tensorflow(self, paths: list[str]) -> bool:
        """Returns whether TensorFlow can read all files under these settings, without Python."""
        plain = self.on_bad_utf8 == "error" and self.normalize is None
        return plain and all(path.endswith(formats.READ_BY_TENSORFLOW) for path in paths)


# Setting -> its valid values.
_CHOICES = {
    "unit": ("file", "line"),
    "on_bad_utf8": ("error", "skip"),
    "normalize": (None, "nfkc"),
}

_WHOLE = tuple(suffix for suffix in SUFFIXES if suffix.startswith(".txt"))


def expand_glob(glob: str | list[str], setting: str) -> list[str]:
    """Returns the files that one or more patterns match, sorted.

    Args:
        glob: the pattern, or a list of them.
        setting: the name of the setting that holds them, for the error.

    Raises:
        UsageError: no file matches.
    """
    patterns = [glob] if isinstance(glob, str) else list(glob)
    paths = sorted({path for pattern in patterns for path in _expand(pattern, setting)})
    if not paths:
        raise UsageError(
            f"{setting} is {glob!r} and matches no file (in {os.getcwd()}); expected a path or "
            "pattern of existing files"
        )
    return paths


def _expand(pattern: str, setting: str) -> list[str]:
    if "://" in pattern:
        try:
            return tf.io.gfile.glob(pattern)
        except tf.errors.OpError as error:
            raise UsageError(
                f"{setting} {pattern} cannot be listed: {files.first_line(error)}"
            ) from error
    return [path for path in glob_module.glob(pattern, recursive=True) if os.path.isfile(path)]


def is_held_out(text: tf.Tensor, share: float) -> tf.Tensor:
    """Returns whether documents are held out, which a hash of their text decides.

    Args:
        text: strings of any shape.
        share: the share of all documents that is held out.
    """
    return tf.strings.to_hash_bucket_fast(text, _SHARE_STEPS) < round(share * _SHARE_STEPS)


def split_dataset(split: str) -> tf.data.Dataset:
    """Returns the documents of a split of text_files.glob, as {"text": scalar string}."""
    settings = TextFiles().checked()
    texts = all_texts(settings)
    held_out = split == "validation"
    return texts.filter(lambda x: tf.equal(is_held_out(x["text"], settings.held_out), held_out))


def all_texts(settings: TextFiles) -> tf.data.Dataset:
    """Returns the documents of both splits, as {"text": scalar string}.

    They have the order of the paths: whole files, then files with a document per line.

    Args:
        settings: the files and how they divide into documents.
    """
    whole, by_line = settings.whole_and_lines()
    if settings.read_by_tensorflow(whole + by_line):
        return read_documents(whole, by_line, settings.field)
    return _read_in_python(whole, by_line, settings)


def read_documents(whole: list[str], by_line: list[str], field: str) -> tf.data.Dataset:
    """Returns the documents of files that TensorFlow can read, as {"text": scalar string}.

    Args:
        whole: files that are one document.
        by_line: files with a document per line.
        field: the key of the text in a line of .jsonl.
    """
    parts = []
    if whole:
        parts.append(tf.data.Dataset.from_tensor_slices(whole).map(_read_file, tf.data.AUTOTUNE))
    if by_line:
        parts.append(_read_lines(by_line, field))
    texts = parts[0] if len(parts) == 1 else parts[0].concatenate(parts[1])
    return texts.map(_clean, tf.data.AUTOTUNE).filter(_has_text)


def _read_file(path):
    content = tf.io.read_file(path)
    return tf.cond(
        tf.strings.regex_full_match(path, r".*\.gz"),
        lambda: tf.io.decode_compressed(content, "GZIP"),
        lambda: content,
    )


def _lines_of(path):
    compression = tf.where(tf.strings.regex_full_match(path, r".*\.gz"), "GZIP", "")
    is_json = tf.strings.regex_full_match(path, r".*\.jsonl(\.gz)?")
    lines = tf.data.TextLineDataset(path, compression_type=compression)
    return lines.map(lambda line: (line, is_json))


def _read_lines(paths, field):
    dataset = tf.data.Dataset.from_tensor_slices(paths).flat_map(_lines_of)
    if not any(map(formats.is_json, paths)):
        return dataset.map(lambda line, is_json: line)
    return dataset.batch(_LINES_AT_ONCE).map(_texts_of_lines(field)).unbatch()


def _texts_of_lines(field):
    def extract(lines, is_json):
        found = [
            readers.json_text(line, field).encode() if json_line and line.strip() else line
            for line, json_line in zip(lines, is_json, strict=True)
        ]
        return np.array(found, dtype=object)

    def texts(lines, is_json):
        result = tf.numpy_function(extract, [lines, is_json], tf.string, stateful=False)
        return tf.ensure_shape(result, [None])

    return texts


def _clean(text):
    """As `readers.clean_utf8`, in the graph."""
    text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="strict")
    text = tf.strings.regex_replace(text, "^\ufeff", "")
    return {"text": tf.strings.regex_replace(text, "\r\n?", "\n")}


def _has_text(example):
    return tf.strings.length(tf.strings.strip(example["text"])) > 0


def _read_in_python(whole, by_line, settings):
    """As `read_documents`, for all formats and settings."""
    paths = tf.data.Dataset.from_tensor_slices([*whole, *by_line])
    texts = paths.flat_map(functools.partial(_texts_of_file, settings))
    return texts.map(lambda text: {"text": text})


def _texts_of_file(settings, path):
    """The documents of one file as a data set whose position a checkpoint can hold."""

    def block(number):
        read = functools.partial(_block, settings)
        found = tf.numpy_function(read, [path, number], tf.string, stateful=False)
        return tf.ensure_shape(found, [None])

    blocks = tf.data.Dataset.range(_UNLIMITED).map(block)
    return blocks.take_while(lambda texts: tf.size(texts) > 0).unbatch()


# (settings, path, block number) -> the reader positioned before that block. tf.data forces this
# module-level state: it calls `_block` with (path, number) alone, so that a pipeline can resume at
# any block. The open readers make reading in order linear; they do not affect the result.
_open_readers: collections.OrderedDict[tuple, Iterator[bytes]] = collections.OrderedDict()


def _block(settings, path, number):
    """Block `number` of a file's documents, as an array of bytes; empty after the last block."""
    key = (repr(settings), path, int(number))
    reader = _open_readers.pop(key, None)
    if reader is None:
        reader = readers.read_documents(readers.FilePart(path.decode()), settings)
        collections.deque(itertools.islice(reader, int(number) * _LINES_AT_ONCE), maxlen=0)
    texts = list(itertools.islice(reader, _LINES_AT_ONCE))
    if texts:
        _open_readers[(*key[:2], key[2] + 1)] = reader
    while len(_open_readers) > _MOST_OPEN_READERS:
        _open_readers.popitem(last=False)
    return np.array(texts, dtype=object)
