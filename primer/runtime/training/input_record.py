"""The record of what makes the training input, which lies beside each saved input position.

A position belongs to one input: its tasks, their files, gin's settings of the pipeline, the batch,
the seed, and the pipeline's operations. TensorFlow would continue the old pipeline whatever the
command names now, so a position is restored only where the record of its input is equal to that of
the run.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any

import tensorflow.compat.v1 as tf

from primer.common import files, input_progress, random_seed, user_paths
from primer.gin_config import gin_state
from primer.runtime.training import input_graph

# More files than these are recorded by their number, size and a digest.
_MOST_FILES = 1_000
_STAMPS_AT_ONCE = 16
_MOST_DIFFERENCES = 3
_LONGEST_VALUE = 200
_PARTS = ("tasks", "settings", "files", "shares", "batch")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def describe(
    reading: input_progress.InputProgress,
    calls: Mapping[tuple[str, str], Mapping[str, Any]],
    features: Mapping[str, tf.Tensor],
) -> dict[str, Any]:
    """Returns the record of a pipeline; the default graph holds the pipeline and no model yet.

    Args:
        reading: what its tasks have reported.
        calls: the calls that gin recorded while it was built, as `gin_state.recorded_calls`.
        features: the tensors of a batch, by name.
    """
    graph = tf.get_default_graph().as_graph_def()
    described = {path for paths in reading.files.values() for path in paths}
    others = sorted(set(input_graph.named_files(graph)) - described)
    return {
        "tasks": {
            task: {**facts, "files": _describe_files(reading.files[task])}
            for task, facts in reading.tasks.items()
        },
        "shares": {task: float(share) for task, share in reading.shares.items()},
        "files": _describe_files(others),
        "settings": _settings(calls),
        "batch": {name: f"{t.dtype.name} {t.shape.as_list()}" for name, t in features.items()},
        "seed": random_seed.run_seed(),
        "operations": input_graph.digest(graph),
    }


def _settings(calls):
    return {
        _setting_name(scope, selector, name): _ADDRESS.sub("", repr(value))
        for (scope, selector), parameters in calls.items()
        for name, value in parameters.items()
    }


def _setting_name(scope, selector, parameter):
    if selector == gin_state.MACRO:
        return scope
    return "/".join(filter(None, (scope, f"{selector}.{parameter}")))


def _describe_files(paths: Sequence[str]) -> dict[str, Any]:
    """Returns number and size of files, with the size and time of each where they are few.

    A relative path names another file in another working directory: the record has absolute ones.
    """
    paths = [path if user_paths.is_remote(path) else os.path.abspath(path) for path in paths]
    with futures.ThreadPoolExecutor(_STAMPS_AT_ONCE) as threads:  # Buckets answer slowly.
        stamps = dict(zip(paths, map(list, threads.map(files.stamp, paths)), strict=True))
    description: dict[str, Any] = {
        "number": len(stamps),
        "bytes": sum(size for size, _ in stamps.values()),
    }
    if len(stamps) <= _MOST_FILES:
        return {**description, "each": stamps}
    lines = "".join(f"{path} {stamp}\n" for path, stamp in sorted(stamps.items()))
    return {**description, "digest": hashlib.sha256(lines.encode()).hexdigest()[:16]}


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Returns what differs between two records, as "setting before -> now; ...", or None.

    Settings that only one of them has do not count by themselves: which settings are read depends
    on the others, and on the version of Primer.
    """
    found = _differences(before, now)
    if not found:
        return None
    more = f"; and {len(found) - _MOST_DIFFERENCES} more" if found[_MOST_DIFFERENCES:] else ""
    return "; ".join(found[:_MOST_DIFFERENCES]) + more


def _differences(before, now):
    old, new = ({part: record.get(part, {}) for part in _PARTS} for record in (before, now))
    found = _changed("tasks", sorted(old["tasks"]), sorted(new["tasks"]))
    found += _changed_entries("", old["settings"], new["settings"], only_common=True)
    for task in sorted(set(old["tasks"]) & set(new["tasks"])):
        facts = [dict(record["tasks"][task]) for record in (old, new)]
        found += _changed_files(task, *(fact.pop("files", {}) for fact in facts))
        found += _changed_entries(f"{task}: ", *facts)
    found += _changed_files("the input", old["files"], new["files"])
    found += _changed_entries("share of ", old["shares"], new["shares"])
    found += _changed_entries("batch: ", old["batch"], new["batch"])
    found += _changed("seed", before.get("seed"), now.get("seed"))
    if not found and before.get("operations") != now.get("operations"):
        found = [
            "the operations of the input pipeline, as after a change of the task's code or of a "
            "package's version"
        ]
    return found


def _changed_entries(what, before, now, only_common=False):
    names = set(before) & set(now) if only_common else set(before) | set(now)
    return [
        line
        for name in sorted(names)
        for line in _changed(f"{what}{_short_name(name)}", before.get(name), now.get(name))
    ]


def _changed(what, before, now):
    return [] if before == now else [f"{what} {_short(before)} -> {_short(now)}"]


def _changed_files(what, before, now):
    """Names the files of a task that differ: their number, or the first that is another."""
    if before == now:
        return []
    numbers = [f"{found.get('number', 0):,}" for found in (before, now)]
    if numbers[0] != numbers[1]:
        return [f"{what} has {numbers[1]} files and had {numbers[0]}"]
    olds, news = before.get("each", {}), now.get("each", {})
    changed = [path for path, stamp in news.items() if olds.get(path) != stamp]
    if changed:
        kind = "was changed" if changed[0] in olds else "is another file"
        return [f"{what}: {changed[0]} {kind}"]
    return [f"{what}: the files' names, sizes or times"]


def _short_name(name):
    """Returns a setting with its configurable's name, without modules; other names as they are."""
    return ".".join(name.split(".")[-2:])


def _short(value):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
