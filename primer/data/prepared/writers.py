"""What writes a shard's part of one split: seqio's caches, and GPT-Neo's TFRecords."""

import os

import numpy as np
import seqio
import tensorflow as tf

from primer.data.prepared import manifest, records
from primer.data.prepared.counts import Counts


class SeqioWriter:
    """A shard of seqio's own cache: a record for each document, the ids under `targets`.

    Args:
        directory: the task's folder.
        split: the split.
        index: the shard's number.
        plan: a `primer.data.prepared.plan.Plan`.
        vocabulary: the one that the ids are of.
    """

    feature = "targets"

    def __init__(self, directory, split, index, plan, vocabulary):
        self._directory = directory
        self._split = split
        self._index = index
        self._plan = plan
        self._end = vocabulary.eos_id
        self._special = tuple({vocabulary.pad_id, vocabulary.eos_id} - {None})
        self._counts = Counts()
        self._path = os.path.join(directory, f".{split}-{index:05d}.unfinished")
        self._file = tf.io.TFRecordWriter(self._path)

    def add(self, texts: list[bytes], ids: np.ndarray, ends: np.ndarray) -> None:
        """Writes documents.

        Args:
            texts: the documents.
            ids: the ids of all of them, [tokens].
            ends: where each document's ids begin, and the last one's end, [documents + 1].
        """
        self._counts.add(texts, ids, ends, self._special)
        self._write(ids, ends)

    def _write(self, ids, ends):
        for record in records.examples(self.feature, ids, ends):
            self._file.write(record)

    def finish(self) -> dict:
        """Closes the file and gives it its name; returns what the manifest says of it."""
        self._file.close()
        name = self._name()
        size = manifest.file_size(self._path)
        tf.io.gfile.rename(self._path, os.path.join(self._directory, name), overwrite=True)
        return {"file": name, "size": size, **self._counts.as_dict()}

    def _name(self):
        prefix = os.path.basename(seqio.utils.get_cached_tfrecord_prefix("", self._split))
        return f"{prefix}-{self._index:05d}-of-{self._plan.shards:05d}"

    def discard(self) -> None:
        """Removes what is not finished."""
        try:
            self._file.close()
        except tf.errors.OpError:
            pass  # The disk is full; what could not be written is not wanted any more.
        if tf.io.gfile.exists(self._path):
            tf.io.gfile.remove(self._path)


class GptNeoWriter(SeqioWriter):
    """A shard as GPT-Neo's create_tfrecords.py writes it: ids and end token under `text`.

    A record is a document; with `chunk_size` the documents of a shard are joined and cut into
    records of so many tokens, and what is left at the shard's end makes no record. The name of the
    file ends in the number of its records, which GPT-Neo reads from there.
    """

    feature = "text"

    def __init__(self, directory, split, index, plan, vocabulary):
        super().__init__(directory, split, index, plan, vocabulary)
        self._records = 0
        self._rest = np.zeros([0], np.int32)

    def _write(self, ids, ends):
        ids = np.insert(ids, ends[1:], self._end)
        ends = ends + np.arange(len(ends))
        size = self._plan.chunk_size
        if size:
            ids = np.concatenate([self._rest, ids])
            whole = len(ids) // size * size
            ids, self._rest = ids[:whole], ids[whole:]
            ends = np.arange(0, whole + 1, size)
        self._records += len(ends) - 1
        super()._write(ids, ends)

    def finish(self):
        left_out = len(self._rest)
        return {**super().finish(), "records": self._records, "left_out_tokens": left_out}

    def _name(self):
        return f"{self._split}_{self._index:05d}_{self._records}.tfrecords"


WRITERS = {"seqio": SeqioWriter, "gpt_neo": GptNeoWriter}
