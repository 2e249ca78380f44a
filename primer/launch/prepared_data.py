"""`primer train --data DIR`: the engine's arguments that read what `primer data prepare` wrote.

The `primer.json` of a prepared data set records its task and the settings that a run needs for the
same texts and the same vocabulary. A copy of the vocabulary lies beside it.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from primer.common import member_names, user_paths
from primer.data.prepared import recorded_bindings
from primer.errors import UsageError
from primer.launch import engine

MANIFEST = "primer.json"
MIXTURE = "mixture"


def task_and_arguments(folder: str, task: str | None = None) -> tuple[str, list[str]]:
    """Returns the task of a folder of prepared data, and the engine's arguments that read it.

    Args:
        folder: the folder of `--output`, or the folder of one task in it.
        task: which task, where the folder has several; "mixture" reads all of them.

    Returns:
        (the task's full name, arguments of `t5_mesh_transformer`).

    Raises:
        UsageError: the folder has no prepared data of the task, or not in seqio's cache format.
    """
    folder, data_sets = _data_sets(user_paths.absolute(folder))
    if task == MIXTURE:
        chosen = list(data_sets.values())
    else:
        chosen = [_choose(folder, task, data_sets)]
    bindings: dict[str, Any] = {"mesh_train_dataset_fn.use_cached": True}
    for path, manifest in chosen:
        _require_readable(path, manifest, chosen[0])
        bindings |= recorded_bindings.check(manifest["bindings"], f"{path}/{MANIFEST}")
        if manifest["vocabulary_file"]:
            name = member_names.check(manifest["vocabulary_file"], f"{path}/{MANIFEST}")
            bindings["task_vocabulary.model_file"] = f"{path}/{name}"
    return task or chosen[0][1]["settings"]["task"], [
        f"--additional_task_cache_dirs={_list_item(folder)}",
        *(f"--gin_param={name} = {engine.gin_literal(value)}" for name, value in bindings.items()),
    ]


def _list_item(value: str) -> str:
    """Returns a value of a flag that is a list, which absl's flags divide at commas, as CSV."""
    if not set(value) & set(',"') and value == value.strip():
        return value
    return '"' + value.replace('"', '""') + '"'


def _data_sets(folder: str) -> tuple[str, dict[str, tuple[str, dict]]]:
    """Returns the folder above the data sets, and {task: (folder of its data set, manifest)}."""
    found = _with_manifest([folder])
    if found:
        folder = os.path.dirname(folder)
    else:
        found = _with_manifest(_folders_in(folder))
    if not found:
        raise UsageError(
            f"--data {folder}: no prepared data there; `primer data prepare --output {folder}` "
            "writes some, and the same command again finishes an interrupted preparation"
        )
    manifests = [(path, _read_manifest(f"{path}/{MANIFEST}")) for path in found]
    return folder, {data["settings"]["task"]: (path, data) for path, data in manifests}


def _choose(folder: str, task: str | None, data_sets: Mapping) -> tuple[str, dict]:
    names = ", ".join(data_sets)
    if task is None and len(data_sets) > 1:
        raise UsageError(f"--data {folder} has several tasks: {names}; choose with --task")
    if task is not None and task not in data_sets:
        raise UsageError(f"--data {folder} has nothing of task {task!r}; it has {names}")
    return data_sets[task] if task else next(iter(data_sets.values()))


def _require_readable(path: str, manifest: Mapping, first: tuple[str, Mapping]) -> None:
    """Raises UsageError for another format than seqio's, or another vocabulary than the first's."""
    if manifest["settings"]["format"] != "seqio":
        raise UsageError(
            f"--data {path}: these are records of {manifest['settings']['format']}; train on them "
            f"with --task gpt_neo_records --gin_param=\"gpt_neo_records.glob = '{path}/train_*'\""
        )
    own, other = (entry["settings"]["vocabulary"] for entry in (manifest, first[1]))
    if own != other:
        raise UsageError(
            f"{first[0]} and {path} were prepared with different vocabularies ({other} and {own}), "
            "and a mixture has one; prepare both with the same --vocabulary"
        )


def _with_manifest(folders: Sequence[str]) -> list[str]:
    """Returns those of the folders that have a manifest, sorted."""
    return sorted(path for path in folders if _exists(f"{path}/{MANIFEST}"))


def _folders_in(folder: str) -> list[str]:
    """Returns the paths of what a folder holds; [] if there is no such folder."""
    if not user_paths.is_remote(folder):
        names = os.listdir(folder) if os.path.isdir(folder) else []
    else:
        import tensorflow as tf

        names = tf.io.gfile.listdir(folder) if tf.io.gfile.exists(folder) else []
    return [f"{folder}/{name.rstrip('/')}" for name in names]


def _exists(path: str) -> bool:
    if not user_paths.is_remote(path):
        return os.path.exists(path)
    import tensorflow as tf

    return tf.io.gfile.exists(path)


def _read_manifest(path: str) -> dict:
    problem: object = "it lacks settings"
    try:
        with user_paths.open_text(path) as file:
            manifest = json.load(file)
        if {"settings", "bindings", "vocabulary_file"} <= set(manifest):
            _check_task_name(path, manifest["settings"]["task"])
            return manifest
    except (OSError, ValueError, LookupError, TypeError) as error:
        problem = error
    raise UsageError(f"{path} cannot be read ({problem}); prepare the data again")


def _check_task_name(path: str, name: Any) -> None:
    """Raises UsageError for what --task would read as the path of a gin file."""
    if not isinstance(name, str) or not re.fullmatch(r"[\w.:-]+", name) or name.endswith(".gin"):
        raise UsageError(f"{path} names the task {name!r}, which is no name of a task")
