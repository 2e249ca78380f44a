"""The settings of a run on prepared data: gin's bindings, and a copy of the vocabulary's file.

The copy is in the folder of the shards, so that training does not need the original file and can
run on another machine. `primer train --data` reads both.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import gin
import seqio

from primer.common import files, user_paths
from primer.data import text_stamps
from primer.data.prepared import manifest
from primer.data.sources import text_parts
from primer.data.sources.local_datasets import LOCAL_DATASETS
from primer.data.sources.local_files import LocalData

VOCABULARY = "vocabulary_file"
BINDINGS = "bindings"


def record_run_settings(directory: str, task: seqio.Task) -> dict[str, Any]:
    """Copies the vocabulary's file to the data set's folder, if the user named a file.

    Args:
        directory: the folder of the data set.
        task: the task that is prepared.

    Returns:
        The manifest's entries: {"bindings": {parameter: value}, "vocabulary_file": name or None,
        and "texts", the stamps of text files, if it reads any}.
    """
    vocabulary = task.output_features["targets"].vocabulary
    if not hasattr(vocabulary, "setting"):  # A task of another package.
        return {BINDINGS: _text_bindings(task), VOCABULARY: None}
    texts = text_stamps.stamps_of(task)
    setting = vocabulary.setting()
    bindings = {"task_vocabulary.name": setting["name"], **_text_bindings(task)}
    extra_ids = _bound("task_vocabulary", "extra_ids")
    if extra_ids is not None:
        bindings["task_vocabulary.extra_ids"] = extra_ids
    name = None
    if setting["model_file"]:
        name, content = vocabulary.file()
        files.write_output(os.path.join(directory, name), content)
    return {BINDINGS: bindings, VOCABULARY: name} | ({text_stamps.KEY: texts} if texts else {})


def has_vocabulary_copy(directory: str, contents: Mapping[str, Any]) -> bool:
    """Returns whether the vocabulary copy that a manifest names exists, or it names none."""
    name = contents.get(VOCABULARY)
    return name is None or manifest.file_size(manifest.member_path(directory, name)) is not None


def _text_bindings(task) -> dict[str, Any]:
    """Returns gin's bindings of the settings that choose the task's texts."""
    if getattr(task.source, "shard_reader", None) is text_parts:
        settings = text_parts.text_files_settings()
        bound = {name for name in settings if _bound("text_files", name) is not None}
        return {f"text_files.{name}": settings[name] for name in sorted(bound)}
    if task.name not in LOCAL_DATASETS:
        return {}
    names = [field.name for field in dataclasses.fields(LocalData)]
    values = {name: _bound("local_data", name) for name in names}
    if values["folder"]:
        values["folder"] = user_paths.absolute(values["folder"])
    return {f"local_data.{name}": value for name, value in values.items() if value is not None}


def _bound(configurable, parameter):
    """Returns gin's binding of a parameter, or None."""
    try:
        return gin.query_parameter(f"{configurable}.{parameter}")
    except ValueError:
        return None
