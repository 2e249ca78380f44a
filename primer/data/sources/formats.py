"""Opens text files of every supported format as one stream of decompressed bytes.

The formats are .txt and .jsonl, plain or compressed as .gz, .zst or .xz. .parquet is not a byte
stream and is read in `primer.data.sources.readers`. A truncated compressed file raises EOFError.
"""

import gzip
import io
import lzma

import tensorflow as tf

from primer.common import user_paths

COMPRESSIONS = ("", ".gz", ".zst", ".xz")
SUFFIXES = tuple(f"{kind}{end}" for kind in (".txt", ".jsonl") for end in COMPRESSIONS)
PARQUET = ".parquet"

# Formats whose whole files TensorFlow can read itself, faster than Python.
READ_BY_TENSORFLOW = (".txt", ".txt.gz")

BATCH_BYTES = 1 << 20  # Approximate size of the batches in which texts are processed.
_CHUNK = 1 << 18
_ZSTD_WINDOW = 1 << 31  # The window of files made with `zstd --long=31`.


def is_json(path: str) -> bool:
    """Returns whether the lines of the file are JSON objects."""
    return path.endswith(tuple(f".jsonl{end}" for end in COMPRESSIONS))


def can_seek(path: str) -> bool:
    """Returns whether reading can start at any line; true of uncompressed text."""
    return path.endswith((".txt", ".jsonl"))


def open_stream(path: str) -> io.BufferedIOBase:
    """Opens a binary stream of the file's text, with `read(size)` and `readline(size)`.

    Raises:
        OSError, tf.errors.OpError: the file cannot be opened.
    """
    raw = _open_raw(path)
    if path.endswith(".gz"):
        return gzip.GzipFile(fileobj=raw)
    if path.endswith(".xz"):
        return lzma.LZMAFile(raw)
    if path.endswith(".zst"):
        return io.BufferedReader(_Zstandard(raw), _CHUNK)
    return raw


def _open_raw(path):
    if user_paths.is_remote(path):
        return io.BufferedReader(_Remote(path), _CHUNK)
    return open(path, "rb", buffering=_CHUNK)


class _Remote(io.RawIOBase):
    """Presents a file of TensorFlow's file systems (gs://...) as a Python raw stream."""

    def __init__(self, path):
        self._file = tf.io.gfile.GFile(path, "rb")

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        self._file.seek(offset, whence)
        return self._file.tell()

    def readinto(self, buffer):
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self):
        self._file.close()
        super().close()


class _Zstandard(io.RawIOBase):
    """Decompresses a .zst file of one or more frames.

    The zstandard package's own reader reports no error when the file ends inside a frame.
    """

    def __init__(self, raw):
        import zstandard

        self._error = zstandard.ZstdError
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._raw = raw
        self._frame = None
        self._ready = memoryview(b"")

    def readable(self):
        return True

    def readinto(self, buffer):
        while not self._ready:
            chunk = self._raw.read(_CHUNK)
            if not chunk:
                if self._frame is not None:
                    raise EOFError("the file ends inside a compressed frame")
                return 0
            self._ready = memoryview(self._decompress(chunk))
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _decompress(self, chunk):
        parts = []
        try:
            while chunk:
                if self._frame is None:
                    self._frame = self._decompressor.decompressobj()
                parts.append(self._frame.decompress(chunk))
                chunk = self._frame.unused_data if self._frame.eof else b""
                if self._frame.eof:
                    self._frame = None
        except self._error as error:
            raise OSError(str(error)) from error
        return b"".join(parts)

    def close(self):
        self._raw.close()
        super().close()
