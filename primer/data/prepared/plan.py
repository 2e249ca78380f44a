"""What is to be prepared: all that decides the bytes that come out."""

import dataclasses
import os

import gin
import seqio

from primer.common import checks
from primer.data import preflight, whole_documents
from primer.data.prepared import manifest
from primer.data.prepared.writers import WRITERS
from primer.errors import UsageError

FORMATS = tuple(WRITERS)
_FEWEST_SHARDS = 16  # seqio reads sixteen at a time, which is what mixes documents of other files.
_SHARD_BYTES = 1 << 26  # Of input.


@dataclasses.dataclass(frozen=True)
class Plan:
    """A task's data set, as it can be sent to other processes.

    Attributes:
        task: a registered task.
        output: the folder that gets a folder for the task.
        format: "seqio" or "gpt_neo".
        shards: how many files each split gets.
        chunk_size: tokens of a record of GPT-Neo's; None for a document each.
        gin: gin's configuration as a text.
        modules: Python modules that register what is named.
        tfds_data_dir: the folder of prepared TensorFlow data sets, where one was named.
    """

    task: str
    output: str
    format: str = "seqio"
    shards: int = _FEWEST_SHARDS
    chunk_size: int | None = None
    gin: str = ""
    modules: tuple[str, ...] = ()
    tfds_data_dir: str | None = None

    def settings(self) -> dict:
        """What the manifest keeps; two runs with equal settings write equal shards."""
        task = preflight.find_task(self.task)
        parts = getattr(task.source, "shard_reader", None)
        return {
            "task": self.task,
            "format": self.format,
            "shards": self.shards,
            "chunk_size": self.chunk_size,
            "splits": list(task.splits),
            "vocabulary": manifest.vocabulary_identity(task.output_features["targets"].vocabulary),
            **(parts.describe_input() if parts else {}),
        }


def make_plan(task, output, format="seqio", shards=None, **others) -> Plan:
    """A plan for a task as gin has it now.

    Args:
        task, output, format: as in `Plan`.
        shards: None for one per 64 MiB of input, at least 16.
        others: chunk_size, modules, tfds_data_dir, as in `Plan`.

    Raises:
        UsageError: the task's data cannot be read, or it cannot be prepared.
    """
    _check_numbers(format, shards, others.get("chunk_size"))
    found = preflight.find_task(task)
    if not isinstance(found, seqio.Task):
        raise UsageError(
            f"{task} is a mixture; prepare each of its tasks, and train on the mixture with "
            "mesh_train_dataset_fn.use_cached = True: "
            + ", ".join(part.name for part in seqio.get_subtasks(found))
        )
    _check_steps(found)
    for split in found.splits:
        if split == "train" or not getattr(found.source, "shard_reader", None):
            preflight.check_split(task, split)
    shards = shards or _shards(found)
    return Plan(task, os.fspath(output), format, shards, gin=gin.config_str(), **others)


def _check_numbers(format, shards, chunk_size):
    if format not in FORMATS:
        raise UsageError(f"--format {format}: expected one of {', '.join(FORMATS)}")
    for name, value in (("--shards", shards), ("--chunk_size", chunk_size)):
        if value is not None:
            checks.whole_number(name, value)
    if chunk_size and format != "gpt_neo":
        raise UsageError(
            f"--chunk_size {chunk_size} is a setting of --format gpt_neo; in seqio's caches a "
            "record is a document, and the objective cuts it"
        )


def _check_steps(task):
    """Raises UsageError unless what comes before the cache ends in tokenizing texts."""
    steps = list(task.preprocessors)
    if not task.supports_caching:
        raise UsageError(f"task {task.name} has no seqio.CacheDatasetPlaceholder to write a cache")
    before = [step for step in steps if isinstance(step, seqio.CacheDatasetPlaceholder)]
    place = steps.index(before[0])
    if len(whole_documents.text_steps(task)) + 1 != place:
        raise UsageError(
            f"task {task.name} does more than to tokenize texts before its "
            "seqio.CacheDatasetPlaceholder; use seqio_cache_tasks for it"
        )


def _shards(task):
    source = task.source
    size = getattr(source, "shard_reader", None) or source
    total = size.total_bytes() if hasattr(size, "total_bytes") else 0
    return max(_FEWEST_SHARDS, -(-total // _SHARD_BYTES))
