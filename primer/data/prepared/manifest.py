"""The files of a prepared data set that say what it is, and which of its shards are finished.

    DIR/TASK/train.tfrecord-00000-of-00016      records; the names, info.*.json and stats.*.json
    DIR/TASK/info.train.json  stats.train.json  are those of seqio's caches
    DIR/TASK/primer.json                        the settings, and each shard's size and counts
    DIR/TASK/vocabulary.model (or .txt)         the vocabulary, where it was a file of the user's
    DIR/TASK/COMPLETED                          written last; a cache without it is none

While it is being written there are also `.preparing.json` with the settings and one
`.shard-00000.json` for each finished shard. All files are written under names that begin with a
dot and renamed when they are whole.
"""

import os

import seqio
import tensorflow as tf

MANIFEST = "primer.json"
COMPLETED = "COMPLETED"
PREPARING = ".preparing.json"
HINT = "prepare the data again"


def task_directory(output: str, task_name: str) -> str:
    """Where the task's data set is, as seqio has it."""
    return os.path.join(output, seqio.utils.get_task_dir_from_name(task_name))


def vocabulary_identity(vocabulary: seqio.Vocabulary) -> str:
    """A text that is equal for vocabularies that give every text the same ids."""
    if hasattr(vocabulary, "identity"):
        return vocabulary.identity()
    return f"{type(vocabulary).__name__}, {vocabulary.vocab_size} ids"


def shard_record_path(directory: str, index: int) -> str:
    """The file that says that a shard is finished."""
    return os.path.join(directory, f".shard-{index:05d}.json")


def file_size(path: str) -> int | None:
    """The bytes of a file, None if there is none."""
    try:
        return tf.io.gfile.stat(path).length
    except tf.errors.NotFoundError:
        return None


def is_complete_shard(directory: str, shard: dict) -> bool:
    """Whether the files of a finished shard are there in full."""
    written = shard["splits"].values()
    return all(file_size(os.path.join(directory, part["file"])) == part["size"] for part in written)
