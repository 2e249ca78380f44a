"""Loads a vocabulary by kind and file: once per file content, checked, with the content read."""

import functools
import os
from typing import NamedTuple

import seqio
import tensorflow as tf

from primer.common import files
from primer.data.vocabularies import characters, tokenizer_files, vocabulary_file
from primer.data.vocabularies.characters import CharacterVocabulary
from primer.data.vocabularies.huggingface import HuggingFaceVocabulary, require_package
from primer.data.vocabularies.words import WordVocabulary
from primer.errors import UsageError

T5_MODEL = "gs://t5-data/vocabs/cc_all.32000/sentencepiece.model"


class LoadedVocabulary(NamedTuple):
    """A vocabulary and the content of its file; None if it has no file."""

    vocabulary: seqio.Vocabulary
    content: bytes | None


def open_vocabulary(name: str, model_file: str | None, extra_ids: int) -> LoadedVocabulary:
    """Loads the vocabulary that the settings name; reads a file again only if it has changed.

    Args:
        name: "bytes", "words", "characters" or "huggingface"; any other name means a SentencePiece
            model.
        model_file: its file; None for bytes and for text8's characters; a file or folder of a
            Hugging Face tokenizer, of which `huggingface_tokenizer` has more settings.
        extra_ids: number of ids to add at the end.

    Raises:
        UsageError: the file cannot be read, or does not contain such a vocabulary.
    """
    if name == "huggingface":
        path = tokenizer_files.located(model_file or "")
        stamps = tuple(map(_stamp, tokenizer_files.all_files(path)))
        return _open_tokenizer(path, extra_ids, tokenizer_files.gin_settings(), stamps)
    return _open(name, model_file, extra_ids, _stamp(model_file))


def _stamp(model_file):
    """Identifies the version of a local file; None for a file in a bucket."""
    try:
        status = os.stat(model_file or "")
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


@functools.lru_cache(maxsize=8)
def _open(name, model_file, extra_ids, stamp):
    del stamp  # Part of the cache's key only.
    if name == "bytes":
        return LoadedVocabulary(seqio.ByteVocabulary(extra_ids=extra_ids), None)
    if name == "characters" and model_file is None:
        return LoadedVocabulary(CharacterVocabulary(extra_ids=extra_ids), None)
    files.require_readable(
        model_file,
        "the vocabulary (task_vocabulary.model_file)",
        _HINTS.get(name, _HINTS["sentencepiece"]),
    )
    content = vocabulary_file.read_content(model_file)
    if name == "words":
        return LoadedVocabulary(
            WordVocabulary(vocabulary_file.parse_vocabulary(content, model_file), extra_ids),
            content,
        )
    if name == "characters":
        entries = vocabulary_file.parse_vocabulary(content, model_file, characters.unspell)
        return LoadedVocabulary(CharacterVocabulary(entries, extra_ids), content)
    return LoadedVocabulary(_sentencepiece(model_file, extra_ids), content)


@functools.lru_cache(maxsize=8)
def _open_tokenizer(path, extra_ids, settings, stamps):
    del stamps  # Part of the cache's key only.
    require_package()
    definition = tokenizer_files.read(path, settings)
    return LoadedVocabulary(
        HuggingFaceVocabulary(definition, path, extra_ids), definition.content()
    )


_HINTS = {
    "sentencepiece": (
        "set task_vocabulary.model_file to a SentencePiece model on this machine (for T5's, a copy "
        f"of {T5_MODEL}), or task_vocabulary.name to 'bytes' or 'sotu', which need no file"
    ),
    "words": "make one with primer data vocabulary --model words --input FILES --output FILE",
    "characters": (
        "make one with primer data vocabulary --model characters --input FILES --output FILE, or "
        "leave task_vocabulary.model_file unset for text8's 27"
    ),
}


def _sentencepiece(model_file, extra_ids):
    # seqio caches models by path, and the file may have been replaced.
    cached_loader = getattr(seqio.vocabularies, "_load_model_internal", None)
    if hasattr(cached_loader, "cache_clear"):
        cached_loader.cache_clear()
    vocabulary = seqio.SentencePieceVocabulary(model_file, extra_ids)
    try:
        vocabulary.load_model()
    except (tf.errors.OpError, OSError, RuntimeError, ValueError) as error:
        raise _not_a_model(model_file, error) from error
    except Exception as error:  # The module of protobuf's DecodeError depends on its release.
        if type(error).__name__ != "DecodeError":
            raise
        raise _not_a_model(model_file, error) from error
    _check_special_ids(vocabulary, model_file)
    return vocabulary


def _not_a_model(model_file, error):
    return UsageError(
        f"task_vocabulary.model_file is {model_file}, which is not a SentencePiece model "
        f"({files.first_line(error)}); expected a file that SentencePieceTrainer wrote, or another "
        "task_vocabulary.name ('huggingface', 'words', 'characters')"
    )


def _check_special_ids(vocabulary, model_file):
    """Mesh-TensorFlow's packing and decoding assume that padding is 0 and end of sequence 1."""
    ids = (vocabulary.tokenizer.pad_id(), vocabulary.tokenizer.eos_id())
    if ids != (0, 1):
        raise UsageError(
            f"task_vocabulary.model_file is {model_file}, whose (pad, eos) ids are {ids}; "
            "expected (0, 1): train it with pad_id=0, eos_id=1, unk_id=2, bos_id=-1"
        )
