"""The vocabulary that a model directory's checkpoints were trained with, kept beside them.

A vocabulary is a file somewhere else: it may be gone when a model is to be evaluated, or have been
made anew at the same place. So training copies it to `model_dir/vocabulary.model` (or `.txt`), and
`primer.json` says which setting of gin it stands for, and its checksum. Whoever goes on from the
directory's checkpoints reads the copy. Directories without one are read as gin says.

The vocabulary of a task of Primer's (`primer.data.vocabularies.task_vocabulary`) knows its setting
and its file; of other vocabularies nothing is copied. Of a pair, for inputs and targets, the second
counts.
"""

import contextlib
import hashlib
import os

import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, model_description, model_directory
from primer.common import console, files
from primer.errors import UsageError

KEY = "vocabulary_copy"
PATTERN = "vocabulary.*"


def save_copy(model_dir, vocabulary) -> dict:
    """Copies the vocabulary's file to the directory, whole or not at all.

    Args:
        model_dir: the directory of a run that begins or goes on.
        vocabulary: a seqio vocabulary, or a pair.

    Returns:
        What `primer.json` is to say of it: {} for a vocabulary that is not a task's of Primer's.
    """
    vocabulary = _of_targets(vocabulary)
    if not hasattr(vocabulary, "setting"):
        return {}
    kept = {"setting": vocabulary.setting()}
    file = vocabulary.file()
    if file is not None:
        name, content = file
        kept |= {"file": name, "sha256": hashlib.sha256(content).hexdigest()}
        path = os.path.join(model_dir, name)
        if not tf.io.gfile.exists(path) or _sha256(path) != kept["sha256"]:
            files.write_whole(path, content)
    return {KEY: kept}


@contextlib.contextmanager
def use_copy(model_dir, vocabulary):
    """Inside the block, the directory's copy is read where gin names what it is a copy of.

    Args:
        model_dir: any directory; nothing happens without checkpoints in it.
        vocabulary: the one that gin names, or a pair, or None.

    Raises:
        UsageError: gin names another vocabulary than the checkpoints' own, or the copy is damaged.
    """
    vocabulary = _of_targets(vocabulary)
    record = model_directory.read_record(model_dir) if model_dir else None
    if vocabulary is None or record is None or not _has_checkpoints(model_dir):
        yield
        return
    with contextlib.ExitStack() as stack:
        kept = record.get(KEY, {})
        if "file" in kept and _setting_of(vocabulary) == kept["setting"]:
            path = os.path.join(model_dir, kept["file"])
            if tf.io.gfile.exists(path):
                _check_copy(path, kept)
                _say_if_changed(vocabulary, path, kept)
                stack.enter_context(vocabulary.standing_in(path))
        _check_same(model_dir, vocabulary, record)
        yield


def _of_targets(vocabulary):
    return vocabulary[-1] if isinstance(vocabulary, (tuple, list)) else vocabulary


def _setting_of(vocabulary):
    return vocabulary.setting() if hasattr(vocabulary, "setting") else None


def _has_checkpoints(model_dir):
    """Also of a directory that keeps its best checkpoint alone."""
    return checkpoint_files.latest_checkpoint(model_dir) or checkpoint_files.latest_checkpoint(
        os.path.join(model_dir, model_directory.BEST)
    )


def _check_copy(path, kept):
    found = _sha256(path)
    if found != kept["sha256"]:
        raise UsageError(
            f"{path} is damaged: its sha256 is {found[:16]}..., and {model_directory.RECORD} "
            f"beside it says {kept['sha256'][:16]}...; bring the file back, or remove it to use "
            "the one that task_vocabulary.model_file names"
        )


def _say_if_changed(vocabulary, path, kept):
    """The user may have made the file anew and expect the new one to be used."""
    original = vocabulary.choice()[1]
    if "://" in original or not os.path.isfile(original) or _sha256(original) == kept["sha256"]:
        return
    console.say_once(
        f"primer: the vocabulary {original} is another than when this model was trained; the "
        f"model's own copy is used: {path}"
    )


def _check_same(model_dir, vocabulary, record):
    """Raises UsageError where what is read now has other ids for texts than the record's."""
    now = model_description.describe_vocabulary(vocabulary)
    before = record.get("vocabulary", {})
    if model_description.first_difference(before, now):
        setting = record.get(KEY, {}).get("setting")
        raise UsageError(
            f"model_dir = {model_dir!r} was trained with another vocabulary than gin names: "
            f"{_named(before, setting)} -> {_named(now, _setting_of(vocabulary))}; use a new "
            f"model_dir, or the settings in {os.path.join(model_dir, model_directory.CONFIG)}"
        )


def _named(vocabulary, setting):
    """A vocabulary as a message calls it."""
    text = vocabulary.get("fingerprint", "unknown")
    if not setting:
        return f"{text} ({vocabulary.get('size')} ids)"
    file = setting["model_file"]
    named = f"task_vocabulary.name = {setting['name']!r}"
    return (
        f"{named}, task_vocabulary.model_file = {file!r} ({text})" if file else f"{named} ({text})"
    )


def _sha256(path):
    with tf.io.gfile.GFile(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
