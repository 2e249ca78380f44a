"""Any text files of the user's as documents, with a held-out share.

    text_files.glob = "/data/books/**/*.txt.gz"     # or a list of globs
    text_files.unit = "file"                        # a document is a file, or a "line"
    text_files.field = "text"                       # the key in .jsonl, the column in .parquet
    text_files.held_out = 0.05                      # of the documents, for validation
    text_files.on_bad_utf8 = "skip"                 # leave out what is not UTF-8 ("error")
    text_files.normalize = "nfkc"                   # mend and normalize with ftfy (None)

Files are UTF-8 and end in .txt or .jsonl, with or without .gz, .zst or .xz, or in .parquet. Line
ends become "\\n", a byte order mark and documents of nothing but white space are dropped. Which
split a document belongs to depends on its text alone, so that it stays there when files are added,
renamed or joined, and a document that occurs twice is never both trained and evaluated on.
"""

import collections
import dataclasses
import functools
import glob as globbing
import itertools
import os

import gin
import numpy as np
import tensorflow as tf

from primer.common import checks, files
from primer.data.sources import formats, readers
from primer.errors import UsageError

SPLITS = ("train", "validation")
SUFFIXES = (*formats.SUFFIXES, formats.PARQUET)

_SHARE_STEPS = 1_000_000  # The held-out share is kept to six decimals.
_FILES_AT_ONCE = 16
_SHUFFLED_DOCUMENTS = 2_000
_LINES_AT_ONCE = 256
_OPEN_READERS = 64
_HUGE = 1 << 62


@gin.configurable("text_files", module="primer")
@dataclasses.dataclass(frozen=True)
class TextFiles:
    """Which files, and how they divide into documents and splits.

    Attributes:
        glob: a pattern, or a list of them; `**` stands for folders of any depth.
        unit: "file" or "line"; a line of .jsonl and a row of .parquet is always a document.
        field: the key of the text in a line of .jsonl, the column of it in .parquet.
        held_out: the share of documents that is the validation split, between 0 and 1.
        on_bad_utf8: "error", or "skip" to leave out documents that are not UTF-8.
        normalize: None, or "nfkc": ftfy mends what encodings have broken, makes quotation marks
            straight and line ends "\\n", and puts the text into Unicode's form NFKC.
        max_document_bytes: a longer document is refused: it is most likely none.
    """

    glob: str | list[str] | None = None
    unit: str = "file"
    field: str = "text"
    held_out: float = 0.05
    on_bad_utf8: str = "error"
    normalize: str | None = None
    max_document_bytes: int = 1 << 26

    def checked(self) -> "TextFiles":
        """Returns itself; raises UsageError for a setting that has no meaning."""
        # Not in __post_init__: gin adds lines of its own to an error that is raised in there.
        if not self.glob:
            raise UsageError(
                "text_files.glob is not set; name your files, as in "
                "--gin_param=\"text_files.glob = '/data/*.txt'\""
            )
        for name, known in _KNOWN.items():
            value = getattr(self, name)
            if value not in known:
                expected = " or ".join(map(repr, known))
                raise UsageError(f"text_files.{name} is {value!r}; expected {expected}")
        checks.whole_number("text_files.max_document_bytes", self.max_document_bytes)
        if not 0 <= self.held_out < 1:
            raise UsageError(
                f"text_files.held_out is {self.held_out!r}; expected a share from 0 up to, but "
                "not including, 1"
            )
        return self

    def paths(self) -> list[str]:
        """The files that the globs match, sorted.

        Raises:
            UsageError: none matches, or one has another suffix than SUFFIXES.
        """
        found = expand_glob(self.glob, "text_files.glob")
        for path in found:
            if not path.endswith(SUFFIXES):
                raise UsageError(
                    f"text_files.glob matches {path}; expected files that end in "
                    f"{', '.join(SUFFIXES)}"
                )
        return found

    def whole_and_lines(self) -> tuple[list[str], list[str]]:
        """The files that are a document each, and those with a document in every line or row."""
        paths = self.paths()
        by_line = {path for path in paths if self.unit == "line" or not path.endswith(_WHOLE)}
        return [path for path in paths if path not in by_line], sorted(by_line)

    def read_by_tensorflow(self, paths: list[str]) -> bool:
        """Whether TensorFlow can read all the files as the settings have it, without Python."""
        plain = self.on_bad_utf8 == "error" and self.normalize is None
        return plain and all(path.endswith(formats.READ_BY_TENSORFLOW) for path in paths)


# Settings that are a choice -> what may be chosen.
_KNOWN = {"unit": ("file", "line"), "on_bad_utf8": ("error", "skip"), "normalize": (None, "nfkc")}

_WHOLE = tuple(suffix for suffix in SUFFIXES if suffix.startswith(".txt"))


def expand_glob(glob: str | list[str], setting: str) -> list[str]:
    """The files that one pattern or several match, sorted.

    Args:
        glob: the pattern, or a list of them.
        setting: the setting that has them, as an error should call it.

    Raises:
        UsageError: none matches.
    """
    patterns = [glob] if isinstance(glob, str) else list(glob)
    found = sorted({path for pattern in patterns for path in _expand(pattern, setting)})
    if not found:
        raise UsageError(
            f"{setting} is {glob!r} and matches no file (in {os.getcwd()}); expected a path or "
            "pattern of existing files"
        )
    return found


def _expand(pattern: str, setting: str) -> list[str]:
    if "://" in pattern:
        try:
            return tf.io.gfile.glob(pattern)
        except tf.errors.OpError as error:
            raise UsageError(
                f"{setting} {pattern} cannot be listed: {files.first_line(error)}"
            ) from error
    return [path for path in globbing.glob(pattern, recursive=True) if os.path.isfile(path)]


def is_held_out(text: tf.Tensor, share: float) -> tf.Tensor:
    """Whether a document falls into the held-out share, by the fingerprint of its text."""
    return tf.strings.to_hash_bucket_fast(text, _SHARE_STEPS) < round(share * _SHARE_STEPS)


def split_dataset(split: str, shuffle: bool, seed) -> tf.data.Dataset:
    """The documents of one split of the files that gin names, as {"text": scalar string}."""
    settings = TextFiles().checked()
    texts = all_texts(settings, shuffle, seed)
    wanted = split == "validation"
    return texts.filter(lambda x: tf.equal(is_held_out(x["text"], settings.held_out), wanted))


def all_texts(settings: TextFiles, shuffle: bool, seed) -> tf.data.Dataset:
    """The documents of both splits, as {"text": scalar string}.

    Without `shuffle`, in the order of the paths: whole files, then those with a document a line.
    With it, in an order that is new each epoch and fixed by the seed: files at random, lines also
    among a window of 2,000.
    """
    whole, by_line = settings.whole_and_lines()
    if settings.read_by_tensorflow(whole + by_line):
        return read_documents(whole, by_line, settings.field, shuffle, seed)
    return _read_in_python(whole, by_line, settings, shuffle, seed)


def read_documents(
    whole: list[str], by_line: list[str], field: str, shuffle: bool, seed
) -> tf.data.Dataset:
    """The documents of files that TensorFlow can read, as {"text": scalar string}.

    Args:
        whole: files that are a document each.
        by_line: files with a document in each line.
        field: the key of the text in a line of .jsonl.
        shuffle, seed: as for `all_texts`.
    """
    parts = []
    if whole:
        parts.append(_in_order(whole, shuffle, seed).map(_read_file, tf.data.AUTOTUNE))
    if by_line:
        parts.append(_read_lines(_in_order(by_line, shuffle, seed), by_line, field, shuffle, seed))
    texts = parts[0] if len(parts) == 1 else parts[0].concatenate(parts[1])
    return texts.map(_clean, tf.data.AUTOTUNE).filter(_has_text)


def _in_order(paths, shuffle, seed):
    dataset = tf.data.Dataset.from_tensor_slices(paths)
    return dataset.shuffle(len(paths), seed=seed) if shuffle else dataset


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


def _read_lines(dataset, paths, field, shuffle, seed):
    at_once = _FILES_AT_ONCE if shuffle else 1
    dataset = dataset.interleave(_lines_of, cycle_length=at_once)
    if shuffle:
        dataset = dataset.shuffle(_SHUFFLED_DOCUMENTS, seed=seed)
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
    """Strict UTF-8 without a byte order mark, lines ending in a line feed."""
    text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="strict")
    text = tf.strings.regex_replace(text, "^\ufeff", "")
    return {"text": tf.strings.regex_replace(text, "\r\n?", "\n")}


def _has_text(example):
    return tf.strings.length(tf.strings.strip(example["text"])) > 0


def _read_in_python(whole, by_line, settings, shuffle, seed):
    """As `read_documents`, of files of all formats, with all settings."""
    parts = []
    for paths, at_once in ((whole, 1), (by_line, _FILES_AT_ONCE if shuffle else 1)):
        if not paths:
            continue
        blocks = functools.partial(_texts_of_file, settings)
        texts = _in_order(paths, shuffle, seed).interleave(blocks, cycle_length=at_once)
        if shuffle and paths is by_line:
            texts = texts.shuffle(_SHUFFLED_DOCUMENTS, seed=seed)
        parts.append(texts)
    texts = parts[0] if len(parts) == 1 else parts[0].concatenate(parts[1])
    return texts.map(lambda text: {"text": text})


def _texts_of_file(settings, path):
    """The documents of one file as a data set whose position can be saved."""

    def block(number):
        read = functools.partial(_block, settings)
        found = tf.numpy_function(read, [path, number], tf.string, stateful=False)
        return tf.ensure_shape(found, [None])

    blocks = tf.data.Dataset.range(_HUGE).map(block)
    return blocks.take_while(lambda texts: tf.size(texts) > 0).unbatch()


# (settings, path, number of a block) -> the reader that stands before it. A function of path and
# number alone can be resumed anywhere, and yet a file that is read in order is read once.
_readers = collections.OrderedDict()


def _block(settings, path, number):
    """Block `number` of a file's documents, as an array of bytes; none behind the last."""
    key = (repr(settings), path, int(number))
    reader = _readers.pop(key, None)
    if reader is None:
        reader = readers.read_documents(readers.FilePart(path.decode()), settings)
        collections.deque(itertools.islice(reader, int(number) * _LINES_AT_ONCE), maxlen=0)
    found = list(itertools.islice(reader, _LINES_AT_ONCE))
    if found:
        _readers[(*key[:2], key[2] + 1)] = reader
    while len(_readers) > _OPEN_READERS:
        _readers.popitem(last=False)
    return np.array(found, dtype=object)
