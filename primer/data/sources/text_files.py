"""Reads the user's text files as documents, with a held-out share.

    text_files.glob = "/data/books/**/*.txt.gz"     # or a list of globs
    text_files.unit = "file"                        # a document is a file, or a "line"
    text_files.field = "text"                       # the key in .jsonl, the column in .parquet
    text_files.held_out = 0.05                      # share of the documents for validation
    text_files.on_bad_utf8 = "skip"                 # leave out documents that are not UTF-8
    text_files.normalize = "nfkc"                   # repair and normalize with ftfy (None)

Files are UTF-8 and end in .txt or .jsonl, optionally with .gz, .zst or .xz, or in .parquet. Line
ends (`primer.common.text_lines`) become "\\n"; a byte order mark and documents of white space only
are dropped. The split of a document depends on its text only, without the white space around it. It
stays the same when files are added, renamed or joined, and a document that occurs twice, with and
without its last line end, is never both trained and evaluated on.
"""

import collections
import dataclasses
import functools
import itertools
import os
from collections.abc import Iterator

import gin
import numpy as np
import tensorflow as tf

from primer.common import checks, files, path_settings, user_paths
from primer.data.sources import formats, readers
from primer.errors import UsageError

SPLITS = ("train", "validation")
SUFFIXES = (*formats.SUFFIXES, formats.PARQUET)

# Decides the split of a document; prepared data record it, and those of another rule are refused.
SPLIT_RULE = "hash of the text without the ASCII white space around it"
_SHARE_STEPS = 1_000_000  # The held-out share is kept to six decimals.
_LINES_AT_ONCE = 256
_MOST_OPEN_READERS = 64
_UNLIMITED = 1 << 62


path_settings.declare("text_files.glob")


@gin.configurable("text_files", module="primer")
@dataclasses.dataclass(frozen=True)
class TextFiles:
    """The files of the task `text`, and how they divide into documents and splits.

    Attributes:
        glob: a path or pattern, or a list of them; `**` matches folders of any depth. The part of
            it that exists under exactly its name is no pattern.
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
        found = expand_glob(self.glob or [], "text_files.glob")
        for path in found:
            if not path.endswith(SUFFIXES):
                raise UsageError(
                    f"text_files.glob matches {path}; expected files that end in "
                    f"{', '.join(SUFFIXES)}"
                )
        return found

    def whole_and_lines(self) -> tuple[list[str], list[str]]:
        """Returns (files that are one document, files with a document per line or row)."""
        found = self.paths()
        by_line = {path for path in found if self.unit == "line" or not path.endswith(_WHOLE)}
        return [path for path in found if path not in by_line], sorted(by_line)

    def read_by_tensorflow(self, paths: list[str]) -> bool:
        """Returns whether TensorFlow can read files that are one document each, without Python."""
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
    found = sorted({path for pattern in patterns for path in matching_files(pattern, setting)})
    if not found:
        raise UsageError(
            f"{setting} is {glob!r} and matches no file (in {os.getcwd()}); expected a path or "
            "pattern of existing files"
        )
    return found


def matching_files(pattern: str, setting: str) -> list[str]:
    """Returns the files that one pattern matches: the file of exactly this name if it exists.

    Args:
        pattern: a path or pattern; `~` is the home directory.
        setting: the name of the setting that holds it, for the error.

    Raises:
        UsageError: a remote folder cannot be listed.
    """
    if not user_paths.is_remote(pattern):
        return user_paths.local_matches(pattern)
    try:
        return [pattern] if tf.io.gfile.exists(pattern) else tf.io.gfile.glob(pattern)
    except tf.errors.OpError as error:
        raise UsageError(
            f"{setting} {pattern} cannot be listed: {files.first_line(error)}"
        ) from error


def is_held_out(text: tf.Tensor, share: float) -> tf.Tensor:
    """Returns whether documents are held out, as `SPLIT_RULE` says.

    Args:
        text: strings of any shape.
        share: the share of all documents that is held out.
    """
    buckets = tf.strings.to_hash_bucket_fast(tf.strings.strip(text), _SHARE_STEPS)
    return buckets < round(share * _SHARE_STEPS)


def split_paths(split: str) -> list[str]:
    """Returns the files that hold a split's documents: all files, whichever the split."""
    del split
    return TextFiles().checked().paths()


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
    if not by_line and settings.read_by_tensorflow(whole):
        return read_documents(whole)
    return _read_in_python(whole, by_line, settings)


def read_documents(paths: list[str]) -> tf.data.Dataset:
    """Returns files that TensorFlow can read, each one document, as {"text": scalar string}."""
    texts = tf.data.Dataset.from_tensor_slices(paths).map(_read_file, tf.data.AUTOTUNE)
    return texts.map(_clean, tf.data.AUTOTUNE).filter(_has_text)


def _read_file(path):
    content = tf.io.read_file(path)
    return tf.cond(
        tf.strings.regex_full_match(path, r".*\.gz"),
        lambda: tf.io.decode_compressed(content, "GZIP"),
        lambda: content,
    )


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
