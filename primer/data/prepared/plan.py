"""The plan of a prepared data set: everything that its bytes depend on."""

import dataclasses
import os
from typing import Any

import gin
import seqio

from primer.common import checks
from primer.data import preflight, whole_documents
from primer.data.prepared import manifest
from primer.data.prepared.writers import WRITERS
from primer.errors import UsageError

FORMATS = tuple(WRITERS)
_FEWEST_SHARDS = 16  # seqio interleaves sixteen files, which mixes their documents.
_SHARD_BYTES = 1 << 26  # Bytes of input.
# Increase it when the same seed gives shards other documents or another order: shards of different
# versions in one folder would lose documents and repeat others.
_ORDER_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Plan:
    """The plan of a task's data set; it can be sent to other processes.

    Attributes:
        task: a registered task.
        output: the folder in which the task's folder is made.
        format: "seqio" or "gpt_neo".
        shards: the number of files of each split.
        chunk_size: tokens of a record with "gpt_neo"; None for a document per record.
        seed: of the order in which documents are divided among shards and written.
        gin: gin's configuration as a text.
        modules: Python modules that register the task and what the configuration names.
        tfds_data_dir: the folder of prepared TensorFlow data sets; None for the default.
    """

    task: str
    output: str
    format: str = "seqio"
    shards: int = _FEWEST_SHARDS
    chunk_size: int | None = None
    seed: int = 0
    gin: str = ""
    modules: tuple[str, ...] = ()
    tfds_data_dir: str | None = None

    def settings(self) -> dict[str, Any]:
        """Returns the manifest's settings; two runs with equal settings write equal shards."""
        task = preflight.find_task(self.task)
        parts = getattr(task.source, "shard_reader", None)
        return {
            "task": self.task,
            "format": self.format,
            "shards": self.shards,
            "chunk_size": self.chunk_size,
            "order": {"seed": self.seed, "version": _ORDER_VERSION},
            "splits": list(task.splits),
            "vocabulary": manifest.vocabulary_identity(task.output_features["targets"].vocabulary),
            **(parts.describe_input() if parts else {}),
        }


def make_plan(
    task: str,
    output: str | os.PathLike,
    format: str = "seqio",
    shards: int | None = None,
    **others: Any,
) -> Plan:
    """Returns the plan of a task under gin's current configuration.

    Args:
        task, output, format: as in `Plan`.
        shards: as in `Plan`; None for one per 64 MiB of input, at least 16.
        others: chunk_size, seed, modules, tfds_data_dir, as in `Plan`.

    Raises:
        UsageError: the task's data cannot be read, or the task cannot be prepared.
    """
    _check_numbers(format, shards, others.get("chunk_size"))
    checks.whole_number("--seed", others.get("seed", 0), least=0)
    found = preflight.find_task(task)
    if not isinstance(found, seqio.Task):
        raise UsageError(
            f"{task} is a mixture; prepare each of its tasks and train on the mixture with "
            "mesh_train_dataset_fn.use_cached = True. Its tasks: "
            + ", ".join(part.name for part in seqio.get_subtasks(found))
        )
    _check_steps(found)
    for split in found.splits:
        if split == "train" or not getattr(found.source, "shard_reader", None):
            preflight.check_split(task, split)
    shards = shards or _default_shards(found)
    return Plan(task, os.fspath(output), format, shards, gin=gin.config_str(), **others)


def _check_numbers(format, shards, chunk_size):
    if format not in FORMATS:
        raise UsageError(f"--format {format}: expected one of {', '.join(FORMATS)}")
    for name, value in (("--shards", shards), ("--chunk_size", chunk_size)):
        if value is not None:
            checks.whole_number(name, value)
    if chunk_size and format != "gpt_neo":
        raise UsageError(
            f"--chunk_size {chunk_size} requires --format gpt_neo; in seqio's caches a record is a "
            "document, and the objective cuts it"
        )


def _check_steps(task):
    """Raises UsageError unless tokenization is the task's last step before the cache."""
    steps = list(task.preprocessors)
    if not task.supports_caching:
        raise UsageError(f"task {task.name} has no seqio.CacheDatasetPlaceholder to write a cache")
    is_cache = [isinstance(step, seqio.CacheDatasetPlaceholder) for step in steps]
    if len(whole_documents.text_steps(task)) + 1 != is_cache.index(True):
        raise UsageError(
            f"task {task.name} has steps between seqio.preprocessors.tokenize and "
            "seqio.CacheDatasetPlaceholder; use seqio_cache_tasks for it"
        )


def _default_shards(task) -> int:
    sized = getattr(task.source, "shard_reader", None) or task.source
    total = sized.total_bytes() if hasattr(sized, "total_bytes") else 0
    return max(_FEWEST_SHARDS, -(-total // _SHARD_BYTES))
