"""`primer train --data DIR`: the settings that read what `primer data prepare` wrote.

A data set's `primer.json` says which task it is of, and what a run has to set for the same texts
and the same vocabulary, whose file lies beside it.
"""

import glob
import json
import os

from primer.errors import UsageError
from primer.launch import engine

MANIFEST = "primer.json"
MIXTURE = "mixture"


def task_and_arguments(folder, task=None) -> tuple[str, list]:
    """The task of a folder of prepared data, and the arguments of the engine that read it.

    Args:
        folder: what `--output` was, or the folder of one task in it.
        task: which one, where the folder has several; of "mixture" all are read.

    Returns:
        (the task's full name, arguments of `t5_mesh_transformer`).

    Raises:
        UsageError: the folder has no such data, or data that are not read from a cache.
    """
    folder, found = _data_sets(os.path.abspath(folder) if "://" not in folder else folder)
    chosen = list(found.values()) if task == MIXTURE else [_choose(folder, task, found)]
    bindings = {"mesh_train_dataset_fn.use_cached": True}
    for path, data in chosen:
        _check(path, data, chosen[0])
        bindings |= data["bindings"]
        if data["vocabulary_file"]:
            bindings["task_vocabulary.model_file"] = f"{path}/{data['vocabulary_file']}"
    return task or chosen[0][1]["settings"]["task"], [
        f"--additional_task_cache_dirs={folder}",
        *(f"--gin_param={name} = {engine.gin_literal(value)}" for name, value in bindings.items()),
    ]


def _data_sets(folder) -> tuple[str, dict]:
    """The folder of data sets, and {task: (folder of its data set, manifest)}."""
    paths = _manifests(folder)
    if paths:
        folder = os.path.dirname(folder)
    else:
        paths = sorted(_manifests(folder, "*/"))
    if not paths:
        raise UsageError(
            f"--data {folder}: no prepared data there; `primer data prepare --output {folder}` "
            "writes some, and the same command again finishes what was interrupted"
        )
    found = [(os.path.dirname(path), _read(path)) for path in paths]
    return folder, {data["settings"]["task"]: (path, data) for path, data in found}


def _choose(folder, task, found):
    names = ", ".join(found)
    if task is None and len(found) > 1:
        raise UsageError(f"--data {folder} has several tasks: {names}; choose with --task")
    if task is not None and task not in found:
        raise UsageError(f"--data {folder} has nothing of task {task!r}; it has {names}")
    return found[task] if task else next(iter(found.values()))


def _check(path, data, first):
    if data["settings"]["format"] != "seqio":
        raise UsageError(
            f"--data {path}: these are records of {data['settings']['format']}; train on them with "
            f"--task gpt_neo_records --gin_param=\"gpt_neo_records.glob = '{path}/train_*'\""
        )
    own, other = (entry["settings"]["vocabulary"] for entry in (data, first[1]))
    if own != other:
        raise UsageError(
            f"{first[0]} and {path} were prepared with different vocabularies ({other} and {own}), "
            "and a mixture has one"
        )


def _manifests(folder, below=""):
    if "://" not in folder:
        return glob.glob(f"{glob.escape(folder)}/{below}{MANIFEST}")
    import tensorflow as tf

    return tf.io.gfile.glob(f"{folder}/{below}{MANIFEST}")


def _read(path):
    try:
        with _open(path) as file:
            data = json.load(file)
        if {"settings", "bindings", "vocabulary_file"} <= set(data):
            return data
        problem = "it lacks settings"
    except (OSError, ValueError) as error:
        problem = error
    raise UsageError(f"{path} cannot be read ({problem}); prepare the data again")


def _open(path):
    if "://" not in path:
        return open(path, encoding="utf-8")
    import tensorflow as tf

    return tf.io.gfile.GFile(path)
