"""Writes scores: JSON lines on standard output or in a file, or a Parquet file.

A file gets its name when it is whole. Until then it has a temporary name, and it is removed if the
command fails. `check_output` refuses a file that exists, and one that is scored.
"""

import contextlib
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from primer.common import checks, files, user_paths
from primer.common.settings import evaluation_settings
from primer.errors import RunError, UsageError

PARQUET = evaluation_settings.PARQUET
FORMATS = evaluation_settings.SCORE_FORMATS


def check_output(
    output: str | None, form: str, overwrite: bool = False, inputs: Iterable[str] = ()
) -> None:
    """Checks where scores go, before the long work.

    Args:
        output: the path of a file, local or remote; None for standard output.
        form: "jsonl" or "parquet".
        overwrite: whether an existing file is replaced.
        inputs: the files that are scored.

    Raises:
        UsageError: an unknown format, a folder, Parquet on standard output, a file that exists, or
            one of `inputs`.
    """
    evaluation_settings.check_score_format(form, output)
    if output and not user_paths.is_remote(output) and os.path.isdir(output):
        raise UsageError(f"score_texts.output = {output!r} (--output) is a folder; name a file")
    if output:
        checks.output_file(output, "score_texts.output (--output)", overwrite, inputs)


@contextlib.contextmanager
def open_writer(
    output: str | None, form: str, metadata: Mapping[str, Any]
) -> Iterator[Callable[[dict[str, list]], None]]:
    """A context with a function that writes columns, as `rows.make_columns` returns them.

    Args:
        output: the path of a file, local or remote; None for standard output.
        form: "jsonl" or "parquet".
        metadata: name -> value, for the metadata of a Parquet file.

    Raises:
        UsageError: the file cannot be opened.
        RunError: writing failed, or the reader of standard output closed it.
    """
    with _standard_output() if output is None else _whole_file(output) as stream:
        writer = _ParquetWriter(stream, metadata) if form == PARQUET else _JsonLines(stream)

        def write(columns):
            with _named_errors(output):
                writer.write(columns)

        yield write
        with _named_errors(output):
            writer.close()


@contextlib.contextmanager
def _named_errors(output):
    """Turns errors of writing into a RunError that names the file."""
    try:
        yield
    except BrokenPipeError as error:
        # Flushing what is still in the buffer would raise again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise RunError("standard output was closed before the last row") from error
    except (OSError, tf.errors.OpError) as error:
        name = output or "standard output"
        raise RunError(f"{name} cannot be written: {files.first_line(error)}") from error


@contextlib.contextmanager
def _standard_output():
    yield sys.stdout


@contextlib.contextmanager
def _whole_file(output):
    """A binary stream whose content is at `output` when the block has ended without an error."""
    is_written = False
    try:
        with files.written_whole(output) as unfinished:
            with _opened(output, unfinished) as stream:
                yield stream
            is_written = True
    except files.ERRORS as error:
        if not is_written:  # An error of reading or scoring, in the block.
            raise
        raise RunError(f"{output} cannot be written: {files.first_line(error)}") from error


@contextlib.contextmanager
def _opened(output, unfinished):
    """A binary stream into `unfinished`; a remote file is written here and copied at the end."""
    is_remote = user_paths.is_remote(output)
    with contextlib.ExitStack() as stack:
        try:
            if is_remote:
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                path = os.path.join(folder, os.path.basename(output))
            else:
                os.makedirs(os.path.dirname(output) or ".", exist_ok=True)
                path = unfinished
            stream = stack.enter_context(open(path, "wb"))
        except OSError as error:
            raise UsageError(
                f"score_texts.output = {output!r} (--output) cannot be written: "
                f"{files.first_line(error)}"
            ) from error
        yield stream
        with _named_errors(output):
            stream.close()
            if is_remote:
                tf.io.gfile.copy(path, unfinished, overwrite=True)


class _JsonLines:
    """Writes one JSON object per row, one per line."""

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
    except ValueError:  # The model has diverged; JSON has no infinity and no nan.
        return json.dumps(_nulls_for_non_finite(row), ensure_ascii=False)


def _nulls_for_non_finite(value):
    if isinstance(value, dict):
        return {key: _nulls_for_non_finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_nulls_for_non_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _ParquetWriter:
    """Writes a Parquet file, one row group per chunk of documents."""

    def __init__(self, stream, metadata):
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
        self._metadata = {f"primer.{name}": str(value) for name, value in metadata.items()}

    def write(self, columns):
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([(name, self._type(name)) for name in columns], self._metadata)
        table = pa.table(columns, schema=schema)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._stream, schema, compression="zstd")
        self._writer.write_table(table)

    def close(self):
        if self._writer is not None:
            self._writer.close()
