"""Notices texts and other data that were edited after a model was trained on them.

The split of a document depends on its text: an edited document that was trained on may be in the
validation split now. `texts.json` of a model directory (`model_directory.TEXTS`), and "texts" in
the `primer.json` of prepared data, have the size and the time of each file; a run that reads
validation texts compares. `texts.json` has the checksums of all data that were trained on too
(`primer.data.checksums`).
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import seqio

from primer.common import console, files, user_paths
from primer.data import checksums
from primer.data.prepared import cache_checks
from primer.data.sources import text_files, text_parts
from primer.errors import UsageError

KEY = "texts"
# The key, beside the paths, of the settings that divide the texts.
_DIVISION = "division"
_MOST_NAMES = 3
_LATER = "changed_later"  # Files that a later session read with another content.
_HINT = "remove it: changes of the texts are then not noticed"

# Absolute path -> [bytes, time of the last change in nanoseconds].
Stamps = Mapping[str, Sequence[int]]


def stamps_of(task: seqio.Task) -> Stamps:
    """Returns the stamps of the text files that a task reads; {} for a task of other data."""
    if getattr(task.source, "shard_reader", None) is not text_parts:
        return {}
    found = text_files.TextFiles().checked().paths()
    return {user_paths.absolute(path): list(files.stamp(path)) for path in found}


def record(path: str, tasks: Sequence[seqio.Task], use_cached: bool) -> None:
    """Records the texts that a run trains on, and the checksums of all of its data.

    Files that an earlier session recorded keep their stamps and checksums. Prints one line if data
    other than texts, for which `say_changes` is, have changed since.

    Args:
        path: the file in the directory of the run.
        tasks: what the run trains on.
        use_cached: whether it reads their prepared data, whose own record then counts.
    """
    stamps: dict[str, Any] = {}
    for task in tasks:
        stamps.update(cache_checks.contents(task).get(KEY, {}) if use_cached else stamps_of(task))
    before = _recorded(path)
    data = _record_checksums(path, before, checksums.files_of(tasks, use_cached))
    texts = {_DIVISION: _division(), **stamps} if stamps else {}
    if stamps or data["files"]:
        files.write_json(path, {**texts, **before, checksums.KEY: data})


def _record_checksums(path, before, paths):
    """Returns the checksums to record: those of the first session, and those of new files."""
    known = before.get(checksums.KEY, {})
    now = checksums.describe(paths, known, path)
    changed = checksums.changed(known, now)
    others = [name for name in changed if name not in before]
    if others:
        console.say_once(
            f"primer: data have changed since {os.path.dirname(path)} was trained on them: "
            f"{_listed(others)}; the run goes on with the new ones"
        )
    first = known.get("files", {})
    entries = {**first, **now["files"], **{name: first[name] for name in changed}}
    later = sorted({*known.get(_LATER, ()), *changed})
    more = {_LATER: later} if later else {}
    return {**now, "files": entries, "data": checksums.of_contents(entries), **more}


def say_changes(path: str, tasks: Sequence[seqio.Task]) -> None:
    """Prints one line if texts have changed since a model was trained on them.

    Args:
        path: the file of `record`, in the directory of the model.
        tasks: those whose validation split is read.
    """
    before = _recorded(path)
    if before:
        _say_changes(path, before, _stamps_of_all(tasks))


def _stamps_of_all(tasks):
    return {path: stamp for task in tasks for path, stamp in stamps_of(task).items()}


def _say_changes(path, before, now):
    changed = _changes(before, now)
    if now:
        changed += _changed_division(before.get(_DIVISION, {}))
    if changed:
        console.say_once(
            f"primer: texts, or how they are divided, have changed since {os.path.dirname(path)} "
            "was trained on them: "
            f"{_listed(changed)}; documents that it was trained on may be in the validation split"
        )


def say_doubts(path: str, tasks: Sequence[seqio.Task]) -> None:
    """Prints one line if documents of a validation split may have been trained on.

    That is so if texts have changed, and in a directory without a record: an earlier version
    trained it, which divided texts with white space at their ends by another rule
    (`text_files.SPLIT_RULE`).

    Args:
        path, tasks: as for `say_changes`.
    """
    before, now = _recorded(path), _stamps_of_all(tasks)
    if before:
        _say_changes(path, before, now)
    elif now:
        console.say_once(
            f"primer: {os.path.dirname(path)} has no record of the texts that it was trained on. "
            "If an earlier version trained it on these, documents with white space at their ends "
            "may be in the validation split although it was trained on them"
        )


def require_unchanged(task: seqio.Task) -> None:
    """Compares the texts of a task with those that its prepared data were made from.

    Raises:
        UsageError: a file has another size: a prepared document may be in the validation split.
    """
    now = stamps_of(task)
    before = cache_checks.contents(task).get(KEY, {}) if now else {}
    changed = _changes(before, now)
    if not changed:
        return
    message = f"texts have changed since task {task.name} was prepared: {_listed(changed)}"
    if all(before[path][0] == now[path][0] for path in before if path in now):
        console.say_once(f"primer: {message}; prepare it again if their content is another one")
        return
    raise UsageError(
        f"{message}; documents that are trained on may be in the validation split, which is read "
        "from the texts: prepare the data again, or leave out --eval_every"
    )


def _recorded(path) -> dict[str, Any]:
    return files.read_json(path, _HINT) or {}


def _division():
    settings = text_files.TextFiles()
    return {"held_out": settings.held_out, "unit": settings.unit}


def _changed_division(before):
    return [
        f"text_files.{name} {before[name]!r} -> {value!r}"
        for name, value in _division().items()
        if name in before and before[name] != value
    ]


def _changes(before, now):
    """Returns a text for each file that both have, with another size, or time and content."""
    known = before.get(checksums.KEY, {})
    changed = sorted(
        path
        for path in before
        if path in now and list(before[path]) != now[path] and not checksums.is_same(path, known)
    )
    return [
        f"{path} ({before[path][0]:,} -> {now[path][0]:,} bytes)"
        if before[path][0] != now[path][0]
        else f"{path} (written again)"
        for path in changed
    ]


def _listed(lines):
    more = f" and {len(lines) - _MOST_NAMES:,} more" if lines[_MOST_NAMES:] else ""
    return ", ".join(lines[:_MOST_NAMES]) + more
