"""Prepares a task's data set, from its first shard to the marker that it is complete."""

import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

import seqio
import tensorflow as tf

from primer.common import files
from primer.data import preflight
from primer.data.prepared import failures, manifest, run_settings
from primer.data.prepared.counts import Counts
from primer.data.prepared.plan import Plan
from primer.data.vocabularies.round_trip import Changes
from primer.errors import RunError, UsageError


@dataclasses.dataclass(frozen=True)
class Preparation:
    """A data set in preparation.

    Attributes:
        plan: the data set's plan.
        settings: the plan's settings, as in the manifest.
        finished: the indexes of the shards that an earlier run has finished.
    """

    plan: Plan
    settings: dict
    finished: frozenset[int]

    @property
    def remaining(self) -> list[int]:
        """The indexes of the shards that are not finished."""
        return [index for index in range(self.plan.shards) if index not in self.finished]


def begin(plan: Plan) -> Preparation | None:
    """Makes the folder, or reads the state that an earlier run has left in it.

    Returns:
        The preparation, or None if the data set is complete.

    Raises:
        UsageError: the folder has a data set with other settings, or of another tool.
    """
    directory = manifest.task_directory(plan.output, plan.task)
    settings = plan.settings()
    complete = files.read_json(os.path.join(directory, manifest.MANIFEST), manifest.HINT)
    started = files.read_json(os.path.join(directory, manifest.PREPARING), manifest.HINT)
    for earlier in (complete, started):
        if earlier:
            _require_equal(directory, earlier["settings"], settings)
    marked = tf.io.gfile.exists(os.path.join(directory, manifest.COMPLETED))
    if complete and (marked or plan.format != "seqio"):
        whole = all(manifest.is_complete_shard(directory, shard) for shard in complete["shards"])
        if whole and run_settings.has_vocabulary_copy(directory, complete):
            return None
    if not complete and marked:
        raise UsageError(
            f"{directory} has a cache that another tool than `primer data prepare` has written; "
            "choose another --output"
        )
    tf.io.gfile.makedirs(directory)
    if not complete and not started:
        _require_own(directory)
    if complete:
        _reopen(directory, complete)
    files.write_json(os.path.join(directory, manifest.PREPARING), {"settings": settings})
    finished = (index for index in range(plan.shards) if _finished_shard(directory, index))
    return Preparation(plan, settings, frozenset(finished))


def _require_own(directory):
    """Raises UsageError if a folder that no preparation has begun holds files."""
    # Hidden files, and the lock of this command, do not count.
    found = tf.io.gfile.listdir(directory)
    names = [name for name in found if not name.startswith(".") and not name.endswith(".lock")]
    if names:
        raise UsageError(
            f"{directory} has files that `primer data prepare` has not written ({names[0]}"
            f"{', ...' if names[1:] else ''}); choose another --output"
        )


def _reopen(directory, complete):
    """Marks a complete data set that has lost a file as incomplete; keeps its finished shards."""
    for name in (manifest.COMPLETED, manifest.MANIFEST):
        path = os.path.join(directory, name)
        if tf.io.gfile.exists(path):
            tf.io.gfile.remove(path)
    for index, shard in enumerate(complete["shards"]):
        files.write_json(manifest.shard_record_path(directory, index), shard)


def _require_equal(directory, earlier, settings):
    if "order" not in earlier:
        raise UsageError(
            f"{directory} was written by an earlier version of Primer, which kept the order of the "
            "input; if it is complete, training still reads it: choose another --output, or remove "
            "that folder"
        )
    current = json.loads(json.dumps(settings))  # As the earlier ones: JSON has no tuples.
    keys = sorted(key for key in {*earlier, *current} if earlier.get(key) != current.get(key))
    if keys:
        raise UsageError(
            f"{directory} has data prepared with other settings ("
            + "; ".join(f"{key}: {earlier.get(key)!r}, now {current.get(key)!r}" for key in keys)
            + "); choose another --output, or remove that folder"
        )


def _finished_shard(directory, index) -> dict | None:
    """Returns the record of a shard, or None unless its files are complete."""
    shard = files.read_json(manifest.shard_record_path(directory, index), manifest.HINT)
    return shard if shard and manifest.is_complete_shard(directory, shard) else None


def finish(preparation: Preparation) -> dict[str, Any]:
    """Writes the data set's manifest and seqio's metadata; the marker COMPLETED comes last.

    Returns:
        The manifest: {"settings", "shards", "splits": {split: sums}}, what the vocabulary does not
        give back, the documents left out, and the entries of `primer.data.prepared.run_settings`.

    Raises:
        RunError: a shard is missing, or no split has a document.
    """
    plan = preparation.plan
    directory = manifest.task_directory(plan.output, plan.task)
    shards = []
    for index in range(plan.shards):
        shard = _finished_shard(directory, index)
        if not shard:
            raise RunError(f"{directory} has no shard {index}; run the same command again")
        shards.append(shard)
    splits = {split: _sum(shards, split) for split in preparation.settings["splits"]}
    if not any(counts.examples for counts in splits.values()):
        raise RunError(f"task {plan.task} has no document: nothing is prepared")
    result = {
        "settings": preparation.settings,
        "shards": shards,
        "splits": {split: counts.as_dict() for split, counts in splits.items()},
        "changes": {split: _sum_changes(shards, split) for split in splits},
        "empty": sum(shard["empty"] for shard in shards),
        "not_utf8": _sum_not_utf8(shards),
        **run_settings.record_run_settings(directory, preflight.find_task(plan.task)),
    }
    if plan.format == "seqio":
        _write_seqio(directory, plan, splits)
    files.write_json(os.path.join(directory, manifest.MANIFEST), result)
    if plan.format == "seqio":
        files.write_whole(os.path.join(directory, manifest.COMPLETED), "")
    _remove_state(directory, plan)
    return result


def _sum(shards, split):
    return sum((Counts.from_dict(shard["splits"][split]) for shard in shards), Counts())


def _sum_changes(shards, split):
    """What the vocabulary does not give back of the texts of a split, as plain data."""
    found = (Changes.from_dict(shard["changes"][split]) for shard in shards)
    return dataclasses.asdict(sum(found, Changes()))


def _sum_not_utf8(shards: list[dict]) -> dict[str, int]:
    """Returns {file: its documents that are not UTF-8}; several shards may have read one file."""
    result: dict[str, int] = {}
    for shard in shards:
        for path, number in shard["not_utf8"].items():
            result[path] = result.get(path, 0) + number
    return result


def _write_seqio(directory, plan, splits):
    """Writes seqio's metadata, info.*.json and stats.*.json."""
    for split, counts in splits.items():
        info = {
            "num_shards": plan.shards,
            "features": {"targets": {"shape": [None], "dtype": "int32"}},
            "seqio_version": seqio.__version__,
        }
        files.write_json(seqio.utils.get_cached_info_path(directory, split), info)
        stats = {
            "examples": counts.examples,
            "targets_tokens": counts.text_tokens,
            "targets_max_tokens": counts.max_tokens,
            "targets_chars": counts.characters,
        }
        files.write_json(seqio.utils.get_cached_stats_path(directory, split), stats)


def _remove_state(directory, plan):
    """Removes the files of the preparation's state."""
    names = [manifest.shard_record_path(directory, index) for index in range(plan.shards)]
    for path in (*names, os.path.join(directory, manifest.PREPARING)):
        tf.io.gfile.remove(path)


def prepare(plan: Plan, write: Callable[[Preparation], None]) -> tuple[dict[str, Any], bool]:
    """Prepares a data set, or completes one.

    Args:
        plan: the data set's plan.
        write: writes the shards of `Preparation.remaining`.

    Returns:
        The manifest, and whether anything was written.

    Raises:
        UsageError, RunError: the preparation failed; the data set is not marked as complete.
    """
    try:
        preparation = begin(plan)
        if preparation is None:
            directory = manifest.task_directory(plan.output, plan.task)
            return files.read_json(os.path.join(directory, manifest.MANIFEST), manifest.HINT), False
        write(preparation)
        return finish(preparation), True
    except failures.WRITE_ERRORS as error:
        raise failures.write_failure(plan, "the metadata of the shards", error) from error
