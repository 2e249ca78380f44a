"""The files of a prepared data set, those of its settings and of its finished shards among them.

    DIR/TASK/train.tfrecord-00000-of-00016      records; the names, info.*.json and stats.*.json
    DIR/TASK/train.index-00000-of-00016.npy     where each record is (`record_index`)
    DIR/TASK/info.train.json  stats.train.json  are those of seqio's caches
    DIR/TASK/primer.json                        the settings, and each shard's size and counts
    DIR/TASK/vocabulary.model (or .txt)         the vocabulary, if the user named a file
    DIR/TASK/COMPLETED                          written last; without it seqio reads no cache

During the preparation there are also `.preparing.json` with the settings and one
`.shard-00000.json` for each finished shard. Each file is written under a hidden name and renamed
when it is complete (`primer.common.files.written_whole`).
"""

import os
from collections.abc import Mapping
from typing import Any

import seqio
import tensorflow as tf

from primer.common import member_names

MANIFEST = "primer.json"
COMPLETED = "COMPLETED"
PREPARING = ".preparing.json"
HINT = "prepare the data again"


def task_directory(output: str, task_name: str) -> str:
    """Returns the folder of a task's data set, as seqio names it."""
    return os.path.join(output, seqio.utils.get_task_dir_from_name(task_name))


def vocabulary_identity(vocabulary: seqio.Vocabulary) -> str:
    """Returns a text that is equal for vocabularies that give every text the same ids."""
    if hasattr(vocabulary, "identity"):
        return vocabulary.identity()
    return f"{type(vocabulary).__name__}, {vocabulary.vocab_size} ids"


def shard_record_path(directory: str, index: int) -> str:
    """Returns the path of the record of a finished shard."""
    return os.path.join(directory, f".shard-{index:05d}.json")


def split_files(directory: str, split: str) -> list[str]:
    """Returns the shards of a split of a data set, and its manifest if there is one, sorted."""
    prefix = os.path.basename(seqio.utils.get_cached_tfrecord_prefix(directory, split))
    names = tf.io.gfile.listdir(directory)
    kept = sorted(name for name in names if name.startswith(f"{prefix}-") or name == MANIFEST)
    return [os.path.join(directory, name) for name in kept]


def index_name(split: str, index: int, shards: int) -> str:
    """Returns the name of the index of a shard's part of a split."""
    return f"{split}.index-{index:05d}-of-{shards:05d}.npy"


def file_size(path: str) -> int | None:
    """Returns the bytes of a file, or None if there is none."""
    try:
        return tf.io.gfile.stat(path).length
    except tf.errors.NotFoundError:
        return None


def is_complete_shard(directory: str, shard: Mapping[str, Any]) -> bool:
    """Returns whether the files of a finished shard exist with the sizes of its record."""
    parts = shard["splits"].values()
    written = [*parts, *(part["index"] for part in parts if "index" in part)]
    return all(file_size(member_path(directory, file["file"])) == file["size"] for file in written)


def member_path(directory: str, name: str) -> str:
    """Returns the path of a file that a data set's manifest names.

    Raises:
        UsageError: the name leads out of the directory.
    """
    return os.path.join(directory, member_names.check(name, os.path.join(directory, MANIFEST)))
