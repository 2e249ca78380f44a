"""What a run sets to read prepared data as they were prepared: gin's bindings, and the vocabulary.

A copy of the vocabulary's file lies beside the shards, so that the folder can be trained on when
the file is gone, or on another machine. `primer train --data` reads both.
"""

import dataclasses
import os

import gin

from primer.common import files
from primer.data.prepared import manifest
from primer.data.sources import text_parts
from primer.data.sources.local_datasets import LOCAL_DATASETS
from primer.data.sources.local_files import LocalData

VOCABULARY = "vocabulary_file"
BINDINGS = "bindings"


def record_run_settings(directory: str, task) -> dict:
    """Copies the vocabulary's file to the data set's folder, if it is a file of the user's.

    Args:
        directory: the folder of the data set.
        task: a seqio task.

    Returns:
        What the manifest says of it: {"bindings": {parameter: value}, "vocabulary_file": name or
        None}.
    """
    vocabulary = task.output_features["targets"].vocabulary
    if not hasattr(vocabulary, "setting"):  # Of a task of another package.
        return {BINDINGS: _of_texts(task), VOCABULARY: None}
    setting = vocabulary.setting()
    bindings = {"task_vocabulary.name": setting["name"], **_of_texts(task)}
    extra_ids = _bound("task_vocabulary", "extra_ids")
    if extra_ids is not None:
        bindings["task_vocabulary.extra_ids"] = extra_ids
    name = None
    if setting["model_file"]:
        name, content = vocabulary.file()
        files.write_output(os.path.join(directory, name), content)
    return {BINDINGS: bindings, VOCABULARY: name}


def has_vocabulary_copy(directory: str, found: dict) -> bool:
    """Whether the copy that a manifest names is there."""
    name = found.get(VOCABULARY)
    return name is None or manifest.file_size(os.path.join(directory, name)) is not None


def _of_texts(task) -> dict:
    """What gin has of the settings that decide which texts the task has."""
    if getattr(task.source, "shard_reader", None) is text_parts:
        settings = text_parts.text_files_settings()
        bound = {name for name in settings if _bound("text_files", name) is not None}
        return {f"text_files.{name}": settings[name] for name in sorted(bound)}
    if task.name not in LOCAL_DATASETS:
        return {}
    names = [field.name for field in dataclasses.fields(LocalData)]
    found = {name: _bound("local_data", name) for name in names}
    if found["folder"] and "://" not in found["folder"]:
        found["folder"] = os.path.abspath(os.path.expanduser(found["folder"]))
    return {f"local_data.{name}": value for name, value in found.items() if value is not None}


def _bound(configurable, parameter):
    try:
        return gin.query_parameter(f"{configurable}.{parameter}")
    except ValueError:
        return None
