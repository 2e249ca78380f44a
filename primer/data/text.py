"""Any text files of the user's as documents, with a held-out share.

    text_files.glob = "/data/books/**/*.txt.gz"     # or a list of globs
    text_files.unit = "file"                        # a document is a file, or a "line"
    text_files.field = "text"                       # of a line of a .jsonl file
    text_files.held_out = 0.05                      # of the documents, for validation

Files are UTF-8 and end in .txt or .jsonl, with or without .gz. Line ends become "\\n", a byte order
mark and documents of nothing but white space are dropped. Which split a document belongs to depends
on its text alone, so that it stays there when files are added, renamed or joined, and a document
that occurs twice is never both trained and evaluated on.
"""

import dataclasses
import glob as globbing
import json
import os

import gin
import numpy as np
import tensorflow as tf

from primer.data import files
from primer.errors import UsageError

SPLITS = ("train", "validation")
SUFFIXES = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz")

_SHARE_STEPS = 1_000_000  # The held-out share is kept to six decimals.
_FILES_AT_ONCE = 16
_SHUFFLED_DOCUMENTS = 2_000
_LINES_AT_ONCE = 256


@gin.configurable("text_files", module="primer")
@dataclasses.dataclass(frozen=True)
class TextFiles:
    """Which files, and how they divide into documents and splits.

    Attributes:
        glob: a pattern, or a list of them; `**` stands for folders of any depth.
        unit: "file" or "line"; a line of a .jsonl file is always a document.
        field: the key of the text in a line of a .jsonl file.
        held_out: the share of documents that is the validation split, between 0 and 1.
    """

    glob: str | list[str] | None = None
    unit: str = "file"
    field: str = "text"
    held_out: float = 0.05

    def checked(self) -> "TextFiles":
        """Returns itself; raises UsageError for a setting that has no meaning."""
        # Not in __post_init__: gin adds lines of its own to an error that is raised in there.
        if not self.glob:
            raise UsageError(
                "text_files.glob is not set; name your files, as in "
                "--gin_param=\"text_files.glob = '/data/*.txt'\""
            )
        if self.unit not in ("file", "line"):
            raise UsageError(f"text_files.unit is {self.unit!r}; expected 'file' or 'line'")
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
        patterns = [self.glob] if isinstance(self.glob, str) else list(self.glob)
        found = sorted({path for pattern in patterns for path in _expand(pattern)})
        if not found:
            raise UsageError(
                f"text_files.glob is {self.glob!r} and matches no file (in {os.getcwd()}); "
                "expected a path or pattern of existing files"
            )
        for path in found:
            if not path.endswith(SUFFIXES):
                raise UsageError(
                    f"text_files.glob matches {path}; expected files that end in "
                    f"{', '.join(SUFFIXES)}"
                )
        return found


def _expand(pattern: str) -> list[str]:
    if "://" in pattern:
        try:
            return tf.io.gfile.glob(pattern)
        except tf.errors.OpError as error:
            raise UsageError(
                f"text_files.glob {pattern} cannot be listed: {files.first_line(error)}"
            ) from error
    return [path for path in globbing.glob(pattern, recursive=True) if os.path.isfile(path)]


def is_held_out(text: tf.Tensor, share: float) -> tf.Tensor:
    """Whether a document falls into the held-out share, by the fingerprint of its text."""
    return tf.strings.to_hash_bucket_fast(text, _SHARE_STEPS) < round(share * _SHARE_STEPS)


def split_dataset(split: str, shuffle: bool, seed) -> tf.data.Dataset:
    """The documents of one split of the files that gin names, as {"text": scalar string}."""
    settings = TextFiles().checked()
    documents = read_documents(settings.paths(), settings.unit, settings.field, shuffle, seed)
    wanted = split == "validation"
    return documents.filter(lambda x: tf.equal(is_held_out(x["text"], settings.held_out), wanted))


def read_documents(paths: list[str], unit: str, field: str, shuffle: bool, seed) -> tf.data.Dataset:
    """The documents of files, as {"text": scalar string}.

    Without `shuffle`, in the order of the paths. With it, in an order that is new each epoch and
    fixed by the seed: files at random, lines also among a window of 2,000.
    """
    by_line = [path for path in paths if unit == "line" or is_json_file(path)]
    whole = [path for path in paths if path not in set(by_line)]
    parts = []
    if whole:
        parts.append(_in_order(whole, shuffle, seed).map(_read_file, tf.data.AUTOTUNE))
    if by_line:
        parts.append(_read_lines(_in_order(by_line, shuffle, seed), by_line, field, shuffle, seed))
    texts = parts[0] if len(parts) == 1 else parts[0].concatenate(parts[1])
    return texts.map(_clean, tf.data.AUTOTUNE).filter(_has_text)


def is_json_file(path: str) -> bool:
    return path.removesuffix(".gz").endswith(".jsonl")


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
    if not any(map(is_json_file, paths)):
        return dataset.map(lambda line, is_json: line)
    return dataset.batch(_LINES_AT_ONCE).map(_texts_of_lines(field)).unbatch()


def _texts_of_lines(field):
    def extract(lines, is_json):
        found = [
            json_text(line, field).encode() if json_line and line.strip() else line
            for line, json_line in zip(lines, is_json, strict=True)
        ]
        return np.array(found, dtype=object)

    def texts(lines, is_json):
        result = tf.numpy_function(extract, [lines, is_json], tf.string, stateful=False)
        return tf.ensure_shape(result, [None])

    return texts


def json_text(line: bytes | str, field: str) -> str:
    """The text of one line of a .jsonl file; raises ValueError where there is none."""
    record = json.loads(line.removeprefix("\ufeff") if isinstance(line, str) else line)
    if not isinstance(record, dict) or not isinstance(record.get(field), str):
        raise ValueError(f"no text under the key {field!r} (text_files.field)")
    record[field].encode()  # A lone half of a surrogate pair is no text; that raises as well.
    return record[field]


def _clean(text):
    """Strict UTF-8 without a byte order mark, lines ending in a line feed."""
    text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="strict")
    text = tf.strings.regex_replace(text, "^\ufeff", "")
    return {"text": tf.strings.regex_replace(text, "\r\n?", "\n")}


def _has_text(example):
    return tf.strings.length(tf.strings.strip(example["text"])) > 0
