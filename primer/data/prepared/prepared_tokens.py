"""The documents of a prepared split as one sequence of tokens, read at any position.

A training run in a random order of all rows reads each of them here. A short document is read with
its neighbours in one read of the file; the encoded tokens of long ones are kept in memory, of which
a read decodes the tokens that it needs. All methods may be called by several threads.
"""

import bisect
import collections
import os
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from primer.common import files, user_paths
from primer.data.prepared import manifest, record_index, records
from primer.data.prepared.writers import SeqioWriter
from primer.data.sources import corrupt_records
from primer.errors import UsageError

_LONG_RECORD = 1 << 16  # Bytes; shorter records are read again when they are needed again.
_KEPT_BYTES = 1 << 28


class PreparedTokens:
    """The tokens of a split's documents, in the order of the shards, an end token after each.

    An instance takes twenty bytes of memory per document.

    Args:
        paths: the files of the shards.
        indexes: the index of each.
        eos_id: the end token.

    Attributes:
        starts: where each document begins and the last one ends, [documents + 1] int64.
    """

    def __init__(self, paths: list[str], indexes: list[np.ndarray], eos_id: int) -> None:
        sizes, tokens, checksums = np.concatenate(indexes).T
        self.starts = _sums(tokens, 1)
        self._paths = paths
        self._end = records.encode(np.array([eos_id]))
        self._checksums = checksums.copy()
        # Bytes of the records before each, with what is around them: [documents + 1].
        self._positions = _sums(sizes, record_index.BYTES_AROUND)
        self._first_documents = np.cumsum([0, *map(len, indexes)]).tolist()  # [shards + 1]
        # Long document -> its encoded tokens.
        self._kept: collections.OrderedDict[int, records.EncodedIds] = collections.OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()

    @classmethod
    def open(cls, directory: str, split: str, eos_id: int) -> "PreparedTokens | None":
        """Returns the tokens of a split of a complete cache, or None if its shards have no index.

        Caches of earlier versions and those of seqio_cache_tasks have none.

        Args:
            directory: the folder of the task's data set.
            split: the split.
            eos_id: the end token.

        Raises:
            UsageError: the manifest or an index is damaged or missing.
        """
        path = os.path.join(directory, manifest.MANIFEST)
        contents = files.read_json(path, manifest.HINT) or {"shards": []}
        parts = [shard["splits"].get(split, {}) for shard in contents["shards"]]
        if not parts or not all("index" in part for part in parts):
            return None
        paths = [manifest.member_path(directory, part["file"]) for part in parts]
        return cls(paths, [_read_index(directory, part) for part in parts], eos_id)

    def read(self, begin: int, end: int) -> np.ndarray:
        """Returns the ids between two positions, [end - begin] int32.

        Args:
            begin, end: positions from 0 to `starts[-1]`.

        Raises:
            RunError: a record is damaged.
        """
        if not 0 <= begin <= end <= self.starts[-1]:
            raise ValueError(f"{begin} to {end} is not within 0 to {self.starts[-1]}")
        if begin == end:
            return np.zeros([0], np.int32)
        first = int(np.searchsorted(self.starts, begin, "right")) - 1
        last = int(np.searchsorted(self.starts, end, "left"))
        starts = self.starts[first : last + 1].tolist()
        parts = []
        for document, encoded in enumerate(self._encoded(first, last)):
            start, stop = starts[document], starts[document + 1] - 1
            parts.append(encoded.between(max(begin, start) - start, min(end, stop) - start))
            if stop < end:
                parts.append(self._end)
        return records.decode(b"".join(parts))

    def _encoded(self, first, last) -> Iterator[records.EncodedIds]:
        """Yields the encoded ids of the documents from `first` to before `last`."""
        while first < last:
            following = first + 1
            shard = bisect.bisect_right(self._first_documents, first) - 1
            if self._is_long(first):
                yield self._long(shard, first)
            else:
                behind = min(last, self._first_documents[shard + 1])
                while following < behind and not self._is_long(following):
                    following += 1
                yield from self._read(shard, first, following)
            first = following

    def _is_long(self, document):
        return self._positions[document + 1] - self._positions[document] >= _LONG_RECORD

    def _long(self, shard, document) -> records.EncodedIds:
        with self._lock:
            if document in self._kept:
                self._kept.move_to_end(document)
                return self._kept[document]
        (found,) = self._read(shard, document, document + 1)
        with self._lock:
            if document not in self._kept:
                self._kept[document] = found
                self._kept_bytes += found.size
            while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
                self._kept_bytes -= self._kept.popitem(last=False)[1].size
        return found

    def _read(self, shard, first, last) -> list[records.EncodedIds]:
        """Reads consecutive records of one file, and checks them."""
        path = self._paths[shard]
        start = int(self._positions[self._first_documents[shard]])
        positions = (self._positions[first : last + 1] - start).tolist()
        content = _read_bytes(path, positions[0], positions[-1])
        starts = self.starts[first : last + 1].tolist()
        result = []
        for number, checksum in enumerate(self._checksums[first:last].tolist()):
            begin, end = (position - positions[0] for position in positions[number : number + 2])
            end -= record_index.BYTES_AFTER
            record = content[begin + record_index.BYTES_BEFORE : end]
            if zlib.crc32(record) != checksum:
                kind = "truncated" if end > len(content) else "corrupted"
                raise corrupt_records.damaged(path, f"{kind} record at {positions[number]}")
            tokens = starts[number + 1] - starts[number] - 1
            result.append(records.EncodedIds(record, SeqioWriter.feature, tokens))
        return result


def _sums(numbers, more):
    """Returns the sums of the numbers before each and of all, each number increased by `more`."""
    result = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum(numbers.astype(np.int64) + more, out=result[1:])
    return result


def _read_index(directory: str, part: dict[str, Any]) -> np.ndarray:
    path = manifest.member_path(directory, part["index"]["file"])
    try:
        return record_index.read(path, part)
    except (ValueError, *files.ERRORS) as error:
        raise UsageError(
            f"{path} cannot be read ({files.first_line(error)}); copy the folder again, or remove "
            "this file and run the same `primer data prepare` command again"
        ) from error


def _read_bytes(path, begin, end):
    # Each call opens the file: a position is not shared between threads.
    if user_paths.is_remote(path):
        with tf.io.gfile.GFile(path, "rb") as remote:
            remote.seek(begin)
            return remote.read(end - begin)
    with open(path, "rb") as local:
        local.seek(begin)
        return local.read(end - begin)
