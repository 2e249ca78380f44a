"""Where scores go: JSON lines on standard output or in a file, or a Parquet file.

A file appears when it is whole: until then it has the name `<path>.part`, which is removed when
something goes wrong.
"""

import contextlib
import json
import math
import os
import sys
import tempfile

import tensorflow.compat.v1 as tf

from primer.common import files
from primer.errors import RunError, UsageError

JSONL, PARQUET = "jsonl", "parquet"
FORMATS = (JSONL, PARQUET)


def check(output, form):
    """Raises UsageError for a format that is none, or one that standard output cannot have."""
    if form not in FORMATS:
        raise UsageError(
            f"score_texts.format = {form!r} (--format): expected {' or '.join(FORMATS)}"
        )
    if form == PARQUET and not output:
        raise UsageError("--format parquet is no text for a terminal: name its file with --output")
    if output and "://" not in output and os.path.isdir(output):
        raise UsageError(f"score_texts.output = {output!r} (--output) is a folder; name a file")


@contextlib.contextmanager
def writer(output, form, about):
    """A function that writes columns, as `rows.columns` gives them.

    Args:
        output: the path of a file, local or remote; None for standard output.
        form: "jsonl" or "parquet".
        about: name -> value: what a Parquet file says of itself.

    Raises:
        UsageError: nothing can be written there.
        RunError: writing failed on the way, or nobody reads standard output any more.
    """
    with _standard_output() if output is None else _whole(output) as stream:
        written = _Parquet(stream, about) if form == PARQUET else _JsonLines(stream)

        def write(columns):
            with _failure_named(output):
                written.write(columns)

        yield write
        with _failure_named(output):
            written.close()


@contextlib.contextmanager
def _failure_named(output):
    """Says which file could not be written; what reading and scoring raise is not looked at."""
    try:
        yield
    except BrokenPipeError as error:
        # What is still in the buffer would raise again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise RunError("standard output was closed before the last row") from error
    except (OSError, tf.errors.OpError) as error:
        name = output or "standard output"
        raise RunError(f"{name} cannot be written: {files.first_line(error)}") from error


@contextlib.contextmanager
def _standard_output():
    yield sys.stdout


@contextlib.contextmanager
def _whole(output):
    """A binary stream whose content is at `output` when the block has ended well."""
    is_remote = "://" in output
    try:
        folder = tempfile.mkdtemp() if is_remote else os.path.dirname(output) or "."
        os.makedirs(folder, exist_ok=True)
        part = os.path.join(folder, f"{os.path.basename(output)}.part")
        stream = open(part, "wb")
    except OSError as error:
        raise UsageError(
            f"score_texts.output = {output!r} (--output) cannot be written: "
            f"{files.first_line(error)}"
        ) from error
    try:
        with stream:
            yield stream
        with _failure_named(output):
            if is_remote:
                tf.io.gfile.copy(part, output, overwrite=True)
            else:
                os.replace(part, output)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)
        if is_remote:
            os.rmdir(folder)


class _JsonLines:
    """One JSON object a row, a line each."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, columns):
        is_text = self._stream is sys.stdout
        # Line by line: Python does not notice that a pipe was closed within one large write.
        for row in zip(*columns.values(), strict=True):
            line = f"{_json(dict(zip(columns, row, strict=True)))}\n"
            self._stream.write(line if is_text else line.encode())

    def close(self):
        self._stream.flush()


def _json(row):
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False)
    except ValueError:  # A model that has diverged. JSON has no infinity and no nan.
        return json.dumps(_finite(row), ensure_ascii=False)


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Parquet:
    """A Parquet file, a row group for each chunk of documents."""

    def __init__(self, stream, about):
        import pyarrow as pa

        self._stream, self._writer = stream, None
        text, number, real = pa.string(), pa.int64(), pa.float64()
        types = {
            **dict.fromkeys(("source", "protocol", "model_dir"), text),
            **dict.fromkeys(("nats", "end_nats"), real),
            "ids": pa.list_(pa.int32()),
            "pieces": pa.list_(text),
            "log_probs": pa.list_(pa.float32()),
        }
        self._type = lambda name: types.get(name, number)
        self._about = {f"primer.{name}": str(value) for name, value in about.items()}

    def write(self, columns):
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([(name, self._type(name)) for name in columns], self._about)
        table = pa.table(columns, schema=schema)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._stream, schema, compression="zstd")
        self._writer.write_table(table)

    def close(self):
        if self._writer is not None:
            self._writer.close()
