"""A task's data set from its first shard to the file that says it is complete."""

import dataclasses
import json
import os
from collections.abc import Callable

import seqio
import tensorflow as tf

from primer.common import files
from primer.data import preflight
from primer.data.prepared import failures, manifest, run_settings
from primer.data.prepared.counts import Counts
from primer.data.prepared.plan import Plan
from primer.errors import RunError, UsageError


@dataclasses.dataclass(frozen=True)
class Preparation:
    """A data set that is being prepared.

    Attributes:
        plan: what is to come out.
        settings: the plan's settings, as the manifest keeps them.
        finished: the numbers of the shards that an earlier run has finished.
    """

    plan: Plan
    settings: dict
    finished: frozenset[int]

    @property
    def remaining(self) -> list[int]:
        return [index for index in range(self.plan.shards) if index not in self.finished]


def begin(plan: Plan) -> Preparation | None:
    """Makes the folder ready, or finds what an earlier run left there.

    Returns:
        None if the data set is complete.

    Raises:
        UsageError: the folder has a data set with other settings.
    """
    directory = manifest.task_directory(plan.output, plan.task)
    settings = plan.settings()
    complete = files.read_json(os.path.join(directory, manifest.MANIFEST), manifest.HINT)
    started = files.read_json(os.path.join(directory, manifest.PREPARING), manifest.HINT)
    for before in (complete, started):
        if before:
            _require_equal(directory, before["settings"], settings)
    marked = tf.io.gfile.exists(os.path.join(directory, manifest.COMPLETED))
    if complete and (marked or plan.format != "seqio"):
        whole = all(manifest.is_complete_shard(directory, shard) for shard in complete["shards"])
        if whole and run_settings.has_vocabulary_copy(directory, complete):
            return None
    if not complete and marked:
        raise UsageError(
            f"{directory} has a cache that `primer data prepare` did not write; choose another "
            "--output"
        )
    tf.io.gfile.makedirs(directory)
    if complete:
        _reopen(directory, complete)
    files.write_json(os.path.join(directory, manifest.PREPARING), {"settings": settings})
    shards = {index: _finished(directory, index) for index in range(plan.shards)}
    return Preparation(plan, settings, frozenset(index for index, shard in shards.items() if shard))


def _reopen(directory, complete):
    """A complete data set has lost a file: it is none until that is written again."""
    for name in (manifest.COMPLETED, manifest.MANIFEST):
        path = os.path.join(directory, name)
        if tf.io.gfile.exists(path):
            tf.io.gfile.remove(path)
    for index, shard in enumerate(complete["shards"]):
        files.write_json(manifest.shard_record_path(directory, index), shard)


def _require_equal(directory, before, now):
    now = _as_read(now)
    keys = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if keys:
        raise UsageError(
            f"{directory} has data prepared with other settings ("
            + "; ".join(f"{key}: {before.get(key)!r}, now {now.get(key)!r}" for key in keys)
            + "); choose another --output, or remove that folder"
        )


def _as_read(settings):
    """The settings as they are once they have been written to JSON."""
    return json.loads(json.dumps(settings))


def _finished(directory, index):
    shard = files.read_json(manifest.shard_record_path(directory, index), manifest.HINT)
    return shard if shard and manifest.is_complete_shard(directory, shard) else None


def finish(begun: Preparation) -> dict:
    """Writes all that says what the shards are, and at last that they are complete.

    Returns:
        The manifest: {"settings", "shards", "splits": {split: sums}}, what was left out, and what
        `primer.data.prepared.run_settings` says.

    Raises:
        RunError: a shard is not there, or no split has a document.
    """
    plan = begun.plan
    directory = manifest.task_directory(plan.output, plan.task)
    shards = [_finished(directory, index) for index in range(plan.shards)]
    missing = [index for index, shard in enumerate(shards) if not shard]
    if missing:
        raise RunError(f"{directory} lacks shard {missing[0]}; run the same command again")
    splits = {split: _sum(shards, split) for split in begun.settings["splits"]}
    if not any(counts.examples for counts in splits.values()):
        raise RunError(f"no document was found for task {plan.task}: nothing is prepared")
    result = {
        "settings": begun.settings,
        "shards": shards,
        "splits": {split: counts.as_dict() for split, counts in splits.items()},
        "empty": sum(shard["empty"] for shard in shards),
        "not_utf8": _joined(shards),
        **run_settings.record_run_settings(directory, preflight.find_task(plan.task)),
    }
    if plan.format == "seqio":
        _write_seqio(directory, plan, splits)
    files.write_json(os.path.join(directory, manifest.MANIFEST), result)
    if plan.format == "seqio":
        files.write_whole(os.path.join(directory, manifest.COMPLETED), "")
    _clear(directory, plan)
    return result


def _sum(shards, split):
    return sum((Counts.from_dict(shard["splits"][split]) for shard in shards), Counts())


def _joined(shards):
    """File -> its documents that are not UTF-8; several shards may have read one file."""
    result = {}
    for shard in shards:
        for path, number in shard["not_utf8"].items():
            result[path] = result.get(path, 0) + number
    return result


def _write_seqio(directory, plan, splits):
    """seqio's own info.*.json and stats.*.json."""
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


def _clear(directory, plan):
    names = [manifest.shard_record_path(directory, index) for index in range(plan.shards)]
    for path in (*names, os.path.join(directory, manifest.PREPARING)):
        tf.io.gfile.remove(path)


def prepare(plan: Plan, write: Callable[[Preparation], None]) -> tuple[dict, bool]:
    """Prepares a data set, or what is left of it to prepare.

    Args:
        plan: what is to come out.
        write: writes the shards of `Preparation.remaining`.

    Returns:
        The manifest, and whether anything had to be done.

    Raises:
        UsageError, RunError: it cannot be done; nothing that is incomplete looks complete.
    """
    try:
        begun = begin(plan)
        if begun is None:
            directory = manifest.task_directory(plan.output, plan.task)
            return files.read_json(os.path.join(directory, manifest.MANIFEST), manifest.HINT), False
        write(begun)
        return finish(begun), True
    except failures.WRITE_ERRORS as error:
        raise failures.write_failure(plan, "what the shards need beside them", error) from error
