"""A copy of the vocabulary that a model directory's checkpoints were trained with.

The file of a vocabulary may be deleted or replaced before a model is evaluated. Training therefore
copies it to `model_dir/vocabulary.model` (or `.txt`, `.json`), and records in `primer.json` its
checksum and the gin settings that it belongs to. Commands that read the directory's checkpoints
read the copy. Without a copy, the vocabulary of the gin settings is read.

Only a TaskVocabulary (`primer.data.vocabularies.task_vocabulary`) has a setting and a file; other
vocabularies are not copied. Of a pair, for inputs and targets, the second counts.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import Any

import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, model_directory
from primer.checkpoints.description import model_description
from primer.common import console, files, member_names, user_paths
from primer.errors import UsageError

KEY = "vocabulary_copy"


def save_copy(model_dir: str, vocabulary: Any) -> dict[str, Any]:
    """Copies the vocabulary's file to the directory, whole or not at all.

    Args:
        model_dir: the directory of a run that starts or resumes.
        vocabulary: a seqio vocabulary, or a pair.

    Returns:
        What `primer.json` records of the copy; {} for a vocabulary that is not a TaskVocabulary.
    """
    vocabulary = _of_targets(vocabulary)
    if not hasattr(vocabulary, "setting"):
        return {}
    copy = {"setting": vocabulary.setting()}
    file = vocabulary.file()
    if file is not None:
        name, content = file
        copy |= {"file": name, "sha256": hashlib.sha256(content).hexdigest()}
        path = os.path.join(model_dir, name)
        if not tf.io.gfile.exists(path) or _sha256(path) != copy["sha256"]:
            files.write_whole(path, content)
    return {KEY: copy}


@contextlib.contextmanager
def use_copy(model_dir: str | None, vocabulary: Any) -> Iterator[None]:
    """A context in which the vocabulary reads the directory's copy, if that is a copy of it.

    Args:
        model_dir: any directory; without checkpoints in it the context does nothing.
        vocabulary: the one that gin names, or a pair, or None.

    Raises:
        UsageError: gin names another vocabulary than that of the checkpoints, or the copy is
            damaged.
    """
    vocabulary = _of_targets(vocabulary)
    record = model_directory.read_record(model_dir) if model_dir else None
    if not model_dir or record is None or vocabulary is None:
        yield
        return
    if not _has_checkpoints(model_dir):
        yield
        return
    with contextlib.ExitStack() as stack:
        copy = record.get(KEY, {})
        if "file" in copy and _setting_of(vocabulary) == copy["setting"]:
            record_path = os.path.join(model_dir, model_directory.RECORD)
            path = os.path.join(model_dir, member_names.check(copy["file"], record_path))
            if tf.io.gfile.exists(path):
                _check_checksum(path, copy["sha256"])
                _say_if_changed(vocabulary, path, copy["sha256"])
                stack.enter_context(vocabulary.reading_copy(path))
            else:
                original = vocabulary.choice()[1]
                console.say_once(
                    f"primer: {path} is missing; the vocabulary is read from {original}"
                )
        _check_same(model_dir, vocabulary, record)
        yield


def _of_targets(vocabulary):
    return vocabulary[-1] if isinstance(vocabulary, (tuple, list)) else vocabulary


def _setting_of(vocabulary):
    return vocabulary.setting() if hasattr(vocabulary, "setting") else None


def _has_checkpoints(model_dir):
    """Tells whether the directory, or the folder of its best checkpoint, has any."""
    return checkpoint_files.latest_checkpoint(model_dir) or checkpoint_files.latest_checkpoint(
        os.path.join(model_dir, model_directory.BEST)
    )


def _check_checksum(path, sha256):
    actual = _sha256(path)
    if actual != sha256:
        raise UsageError(
            f"{path} is damaged: its sha256 is {actual[:16]}..., and {model_directory.RECORD} "
            f"beside it has {sha256[:16]}...; restore the file, or remove it to use the one that "
            "task_vocabulary.model_file names"
        )


def _say_if_changed(vocabulary, path, sha256):
    """Says that the copy is read although the original has changed."""
    original = vocabulary.choice()[1]
    if user_paths.is_remote(original) or not os.path.exists(original):
        return
    content = vocabulary.original_content()
    if content is None or hashlib.sha256(content).hexdigest() == sha256:
        return
    console.say_once(
        f"primer: the vocabulary {original} has changed since this model was trained; the model's "
        f"own copy is used: {path}"
    )


def _check_same(model_dir, vocabulary, record):
    """Raises UsageError where the vocabulary that is read has other ids than the recorded one."""
    now = model_description.describe_vocabulary(vocabulary)
    before = record.get("vocabulary", {})
    if model_description.first_difference(before, now):
        setting = record.get(KEY, {}).get("setting")
        raise UsageError(
            f"model_dir = {model_dir!r} was trained with another vocabulary than gin names: "
            f"{_as_text(before, setting)} -> {_as_text(now, _setting_of(vocabulary))}; use a new "
            f"model_dir, or the settings in {os.path.join(model_dir, model_directory.CONFIG)}"
        )


def _as_text(vocabulary, setting):
    """Returns the settings, or the size, and the fingerprint of a vocabulary for a message."""
    fingerprint = vocabulary.get("fingerprint", "unknown")
    if not setting:
        return f"{fingerprint} ({vocabulary.get('size')} ids)"
    text = f"task_vocabulary.name = {setting['name']!r}"
    if setting["model_file"]:
        text += f", task_vocabulary.model_file = {setting['model_file']!r}"
    return f"{text} ({fingerprint})"


def _sha256(path):
    with tf.io.gfile.GFile(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
