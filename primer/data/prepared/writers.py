"""Writers of a shard's part of one split: seqio's caches, and GPT-Neo's TFRecords."""

import contextlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import seqio
import tensorflow as tf

from primer.common import files
from primer.data.prepared import manifest, record_index, records
from primer.data.prepared.counts import Counts

if TYPE_CHECKING:
    from primer.data.prepared.plan import Plan


class SeqioWriter:
    """Writes a shard of seqio's cache: a record for each document, with the ids under `targets`.

    Args:
        directory: the task's folder.
        split: the split.
        index: the shard's index.
        plan: the data set.
        vocabulary: the vocabulary of the ids.

    Attributes:
        feature: the name under which a record has its ids.
        has_index: whether an index of the records is written beside them.
    """

    feature = "targets"
    has_index = True

    def __init__(
        self, directory: str, split: str, index: int, plan: "Plan", vocabulary: seqio.Vocabulary
    ) -> None:
        self._directory = directory
        self._split = split
        self._index = index
        self._plan = plan
        self._end = vocabulary.eos_id
        self._offset = getattr(vocabulary, "id_offset", 0)
        self._special = tuple({vocabulary.pad_id, vocabulary.eos_id} - {None})
        self._counts = Counts()
        self._rows: list[tuple[int, int, int]] = []
        # The name of the finished file may depend on its content.
        self._path = files.unfinished_path(os.path.join(directory, f"{split}-{index:05d}"))
        self._file = tf.io.TFRecordWriter(self._path)

    def add(self, texts: list[bytes], ids: np.ndarray, ends: np.ndarray) -> None:
        """Writes documents.

        Args:
            texts: the documents.
            ids: the ids of all documents, without end tokens, [tokens].
            ends: where each document's ids begin, and the last one's end, [documents + 1].
        """
        self._counts.add(texts, ids, ends, self._special)
        self._write(ids, ends)

    def _write(self, ids, ends):
        made = records.examples(self.feature, ids, ends)
        for record in made:
            self._file.write(record)
        if self.has_index:
            self._rows += record_index.rows(made, np.diff(ends).tolist())

    def finish(self) -> dict[str, Any]:
        """Closes and renames the file, writes its index; returns the manifest's entry about it."""
        self._file.close()
        name = self._name()
        size = manifest.file_size(self._path)
        entry = {"file": name, "size": size, **self._counts.as_dict()}
        if self.has_index:
            index = manifest.index_name(self._split, self._index, self._plan.shards)
            size = record_index.write(os.path.join(self._directory, index), self._rows)
            entry["index"] = {"file": index, "size": size}
        tf.io.gfile.rename(self._path, os.path.join(self._directory, name), overwrite=True)
        return entry

    def _name(self):
        prefix = os.path.basename(seqio.utils.get_cached_tfrecord_prefix("", self._split))
        return f"{prefix}-{self._index:05d}-of-{self._plan.shards:05d}"

    def discard(self) -> None:
        """Closes the file and removes it unless it is finished."""
        with contextlib.suppress(tf.errors.OpError):  # The disk is full: the file is removed.
            self._file.close()
        if tf.io.gfile.exists(self._path):
            tf.io.gfile.remove(self._path)


class GptNeoWriter(SeqioWriter):
    """Writes a shard as GPT-Neo's create_tfrecords.py: ids with end tokens under `text`.

    A record is a document. With `chunk_size` the documents of a shard are joined and cut into
    records of this many tokens; the rest at the shard's end is left out. Ids are those of the
    vocabulary's own file (`TaskVocabulary.id_offset`). The file's name ends in
    the number of its records, which GPT-Neo reads from there.
    """

    feature = "text"
    has_index = False

    def __init__(
        self, directory: str, split: str, index: int, plan: "Plan", vocabulary: seqio.Vocabulary
    ) -> None:
        super().__init__(directory, split, index, plan, vocabulary)
        self._records = 0
        self._rest = np.zeros([0], np.int32)

    def _write(self, ids, ends):
        ids = np.insert(ids, ends[1:], self._end) - self._offset
        ends = ends + np.arange(len(ends))
        size = self._plan.chunk_size
        if size:
            ids = np.concatenate([self._rest, ids])
            whole = len(ids) // size * size
            ids, self._rest = ids[:whole], ids[whole:]
            ends = np.arange(0, whole + 1, size)
        self._records += len(ends) - 1
        super()._write(ids, ends)

    def finish(self) -> dict[str, Any]:
        """Closes and renames the file; the entry also has its records and the tokens left out."""
        left_out = len(self._rest)
        return {**super().finish(), "records": self._records, "left_out_tokens": left_out}

    def _name(self):
        return f"{self._split}_{self._index:05d}_{self._records}.tfrecords"


WRITERS = {"seqio": SeqioWriter, "gpt_neo": GptNeoWriter}
