"""Checks that a prepared split is complete and of the run's vocabulary, before a run reads it."""

import os
from typing import Any

import seqio
import tensorflow as tf

from primer.common import files
from primer.data.prepared import manifest
from primer.data.sources import text_files
from primer.errors import UsageError

# Settings of text_files that are fixed when a cache is written.
_TEXT_SETTINGS = ("glob", "unit", "field", "held_out", "on_bad_utf8", "normalize")
_PREPARE_AGAIN = "prepare it again with `primer data prepare`"


def check_cached_split(task: seqio.Task, split: str) -> None:
    """Raises UsageError unless a task's cache has the complete split in the task's vocabulary.

    A cache of seqio_cache_tasks does not record its vocabulary: only its files are checked.
    """
    directory = complete_directory(task)
    contents = files.read_json(os.path.join(directory, manifest.MANIFEST), manifest.HINT)
    info = files.read_json(seqio.utils.get_cached_info_path(directory, split), manifest.HINT)
    if info is None:
        raise UsageError(f"the cache {directory} has no split {split!r}; {_PREPARE_AGAIN}")
    if contents is None:
        _check_names(directory, split, info["num_shards"])
        return
    _check_vocabulary(task, directory, contents["settings"])
    _check_text(task, directory, contents["settings"])
    for shard in contents["shards"]:
        _check_file(directory, shard["splits"][split])
    if not contents["splits"][split]["examples"]:
        raise UsageError(f"the cache {directory} has no document in its split {split!r}")


def contents(task: seqio.Task) -> dict[str, Any]:
    """Returns the manifest of a task's complete cache; {} where another tool has written it.

    Raises:
        UsageError: there is no complete cache, or its manifest is damaged.
    """
    return (
        files.read_json(os.path.join(complete_directory(task), manifest.MANIFEST), manifest.HINT)
        or {}
    )


def list_exactly(source: seqio.FileDataSource, directory: str, split: str) -> seqio.FileDataSource:
    """Makes seqio's source of a cache read files of exact names; returns it.

    seqio lists the files by a pattern that contains the name of the folder.

    Args:
        source: the source.
        directory: the folder of the cache.
        split: the split that it reads.
    """
    info = files.read_json(seqio.utils.get_cached_info_path(directory, split), manifest.HINT)
    found = _shard_paths(directory, split, info["num_shards"])
    source.list_shards = lambda split: found
    return source


def complete_directory(task: seqio.Task) -> str:
    """Returns the folder of a task's complete cache.

    Raises:
        UsageError: there is none.
    """
    folders = [
        manifest.task_directory(os.fspath(folder), task.name)
        for folder in seqio.utils.get_global_cache_dirs()
    ]
    if not folders:
        raise UsageError(
            "mesh_train_dataset_fn.use_cached is True and no folder of prepared data is set; run "
            f"`primer data prepare --task {task.name} --output DIR` and add "
            "--additional_task_cache_dirs=DIR"
        )
    for folder in folders:
        if tf.io.gfile.exists(os.path.join(folder, manifest.COMPLETED)):
            return folder
    incomplete = [
        folder for folder in folders if tf.io.gfile.exists(os.path.join(folder, manifest.PREPARING))
    ]
    if incomplete:
        raise UsageError(
            f"{incomplete[0]} is not complete; run the same `primer data prepare` command again"
        )
    raise UsageError(
        f"there is no prepared data of task {task.name} in {', '.join(folders)}; run `primer data "
        f"prepare --task {task.name} --output DIR`, or omit use_cached"
    )


def _check_names(directory, split, shards):
    """Raises UsageError unless a cache of seqio_cache_tasks has all files of the split."""
    for path in _shard_paths(directory, split, shards):
        if not tf.io.gfile.exists(path):
            raise UsageError(f"{path} is missing; cache the task again")


def _shard_paths(directory, split, shards):
    prefix = seqio.utils.get_cached_tfrecord_prefix(directory, split)
    return [f"{prefix}-{index:05d}-of-{shards:05d}" for index in range(shards)]


def _check_vocabulary(task, directory, settings):
    current = manifest.vocabulary_identity(task.output_features["targets"].vocabulary)
    if settings["vocabulary"] != current:
        raise UsageError(
            f"{directory} was prepared with another vocabulary ({settings['vocabulary']}) than "
            f"that of task {task.name} ({current}); set task_vocabulary.name and "
            f"task_vocabulary.model_file to the first, or {_PREPARE_AGAIN} into another folder"
        )


def _check_text(task, directory, settings):
    """Raises UsageError for settings of the text that differ from those of the preparation."""
    parts = getattr(task.source, "shard_reader", None)
    if parts is None or "text_files" not in settings:
        return
    if settings.get(parts.SPLIT_RULE) != text_files.SPLIT_RULE:
        raise UsageError(
            f"{directory} was prepared by an earlier version, which held out other documents: "
            f"training on it would read documents of the validation split; {_PREPARE_AGAIN} into "
            "another folder"
        )
    current, prepared = parts.text_files_settings(), settings["text_files"]
    for name in _TEXT_SETTINGS:
        if current[name] != prepared[name] and current[name] is not None:
            raise UsageError(
                f"text_files.{name} is {current[name]!r}, and {directory} was prepared with "
                f"{prepared[name]!r}; set the same value, or {_PREPARE_AGAIN} into another folder"
            )


def _check_file(directory, part):
    path = manifest.member_path(directory, part["file"])
    size = manifest.file_size(path)
    if size != part["size"]:
        problem = "is missing" if size is None else f"has {size:,} bytes"
        raise UsageError(
            f"{path} {problem}; expected {part['size']:,} bytes: run the same `primer data "
            "prepare` command again, which rewrites incomplete shards"
        )
