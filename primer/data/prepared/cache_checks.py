"""Is a cache whole, and of this vocabulary? Asked before a run reads it."""

import os

import seqio
import tensorflow as tf

from primer.common import files
from primer.data.prepared import manifest
from primer.errors import UsageError

# Settings of text_files that a cache has from its preparation; a run cannot change them any more.
_OF_THE_TEXT = ("glob", "unit", "field", "held_out", "on_bad_utf8", "normalize")
_AGAIN = "prepare it again with `primer data prepare`"


def check_cached_split(task: seqio.Task, split: str) -> None:
    """Raises UsageError unless the cache of a task has the split in full, in this vocabulary.

    A cache that seqio_cache_tasks wrote does not say what its vocabulary was: of such a one only
    the files are looked for.
    """
    directory = _directory(task)
    found = files.read_json(os.path.join(directory, manifest.MANIFEST), manifest.HINT)
    info = files.read_json(seqio.utils.get_cached_info_path(directory, split), manifest.HINT)
    if info is None:
        raise UsageError(f"the cache {directory} has no split {split!r}; {_AGAIN}")
    if found is None:
        _check_names(directory, split, info["num_shards"])
        return
    _check_vocabulary(task, directory, found["settings"])
    _check_text(task, directory, found["settings"])
    for shard in found["shards"]:
        _check_file(directory, shard["splits"][split])
    if not found["splits"][split]["examples"]:
        raise UsageError(f"the cache {directory} has no document in its split {split!r}")


def _directory(task):
    folders = [
        manifest.task_directory(os.fspath(folder), task.name)
        for folder in seqio.utils.get_global_cache_dirs()
    ]
    if not folders:
        raise UsageError(
            f"mesh_train_dataset_fn.use_cached is set and no folder of prepared data is named; add "
            f"--additional_task_cache_dirs=DIR, after `primer data prepare --task {task.name} "
            "--output DIR`"
        )
    for folder in folders:
        if tf.io.gfile.exists(os.path.join(folder, manifest.COMPLETED)):
            return folder
    begun = [
        folder for folder in folders if tf.io.gfile.exists(os.path.join(folder, manifest.PREPARING))
    ]
    if begun:
        raise UsageError(
            f"{begun[0]} is not complete; finish it with the same `primer data prepare` command"
        )
    raise UsageError(
        f"there is no prepared data of task {task.name} in {', '.join(folders)}; run `primer data "
        f"prepare --task {task.name} --output DIR`, or leave out use_cached"
    )


def _check_names(directory, split, shards):
    prefix = seqio.utils.get_cached_tfrecord_prefix(directory, split)
    for index in range(shards):
        path = f"{prefix}-{index:05d}-of-{shards:05d}"
        if not tf.io.gfile.exists(path):
            raise UsageError(f"{path} is missing; cache the task again")


def _check_vocabulary(task, directory, settings):
    now = manifest.vocabulary_identity(task.output_features["targets"].vocabulary)
    if settings["vocabulary"] != now:
        raise UsageError(
            f"{directory} was prepared with another vocabulary ({settings['vocabulary']}) than "
            f"task {task.name} has now ({now}); set task_vocabulary.name and "
            f"task_vocabulary.model_file to that one, or {_AGAIN} into another folder"
        )


def _check_text(task, directory, settings):
    """Settings of the text that differ from the cache's would be without effect."""
    parts = getattr(task.source, "shard_reader", None)
    if parts is None or "text_files" not in settings:
        return
    now, then = parts.text_files_settings(), settings["text_files"]
    for name in _OF_THE_TEXT:
        if now[name] != then[name] and now[name] is not None:
            raise UsageError(
                f"text_files.{name} is {now[name]!r}, and {directory} was prepared with "
                f"{then[name]!r}; give the same, or {_AGAIN} into another folder"
            )


def _check_file(directory, part):
    path = os.path.join(directory, part["file"])
    size = manifest.file_size(path)
    if size != part["size"]:
        what = "is missing" if size is None else f"has {size:,} bytes"
        raise UsageError(
            f"{path} {what}; expected {part['size']:,} bytes: run the same `primer data prepare` "
            "command again, which writes what is not whole"
        )
