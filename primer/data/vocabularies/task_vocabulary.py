"""The vocabulary of a task, chosen by gin and loaded only when it is used.

seqio requires a task's vocabulary when the task is registered, which is before gin has read its
files and on machines that may not have the vocabulary. `TaskVocabulary` is a seqio vocabulary that
reads gin's settings at each use:

    task_vocabulary.name = "bytes"      # or "t5", "sotu", "sentencepiece", "huggingface", ...
    task_vocabulary.model_file = "/data/cc_all.32000.model"       # or a file of `primer data`

A run that continues from checkpoints reads the copy of the file beside them: `reading_copy`.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator

import gin
import seqio
import tensorflow as tf

from primer.common import path_settings, user_paths
from primer.data.vocabularies import loading, tokenizer_files, vocabulary_file
from primer.data.vocabularies.characters import CharacterVocabulary
from primer.data.vocabularies.loading import T5_MODEL
from primer.data.vocabularies.words import WordVocabulary
from primer.errors import UsageError

SOTU_MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sotu.8192.model")

# name -> (model file, extra ids). T5's sentinels are part of its vocabulary's size, 32,100.
_DEFAULTS = {
    "t5": (T5_MODEL, 100),
    "sotu": (SOTU_MODEL, 0),
    "sentencepiece": (None, 0),
    "huggingface": (None, 0),
    "bytes": (None, 0),
    "words": (None, 0),
    "characters": (None, 0),
}

# name -> the name of a copy of its file; other names: vocabulary.model.
_COPY_NAMES = {
    "huggingface": "vocabulary.json",
    "words": "vocabulary.txt",
    "characters": "vocabulary.txt",
}

# (name, model file or None, number of extra ids), as gin's settings give them.
Choice = tuple[str, str | None, int]


class _FileCopies:
    """Maps the file of a choice to a copy that is read in its place."""

    def __init__(self) -> None:
        self._paths: dict[Choice, str] = {}

    def path(self, choice: Choice) -> str | None:
        """The file to read: the copy if there is one, else the file of the choice."""
        return self._paths.get(choice, choice[1])

    @contextlib.contextmanager
    def reading(self, choice: Choice, path: str) -> Iterator[None]:
        """A context in which `path` is read in place of the choice's file."""
        before = dict(self._paths)
        self._paths[choice] = path
        try:
            yield
        finally:
            self._paths = before


# One object for the process: seqio's registry and gin's deep copies hold many TaskVocabulary
# objects of the same choice, and all of them must read the same copy.
_copies = _FileCopies()


path_settings.declare("task_vocabulary.model_file")


@gin.configurable("task_vocabulary", module="primer")
def gin_settings(
    name: str | None = None, model_file: str | None = None, extra_ids: int | None = None
) -> tuple[str | None, str | None, int | None]:
    """Returns gin's settings of the vocabulary of every task of the project.

    Args:
        name: "t5" (32,000 pieces and 100 extra ids), "sotu" (8,192 pieces, part of the project,
            lossless for any text), "bytes" (259 ids), "sentencepiece" (the model in `model_file`),
            "huggingface" (the tokenizer of `model_file`, with `huggingface_tokenizer`'s settings),
            "words" (those of `model_file`) or "characters" (those of `model_file`, or text8's 27).
            None leaves each task its own vocabulary.
        model_file: the file of the vocabulary: a SentencePiece model, for instance a local copy
            of T5's, a tokenizer.json, GPT-2's vocab.json or the folder of either, or a list of
            words or characters with their counts.
        extra_ids: number of ids to add at the end; None for the number that the name implies.
    """
    # `choose_vocabulary` checks the values: gin appends lines to an error that is raised here.
    return name, model_file, extra_ids


def choose_vocabulary(default: str) -> Choice:
    """Returns the vocabulary that gin chooses for a task whose own is called `default`.

    Returns:
        (name, model file or None, number of extra ids).

    Raises:
        UsageError: the settings do not name a vocabulary.
    """
    name, model_file, extra_ids = gin_settings()
    name = name or default
    if name not in _DEFAULTS:
        raise UsageError(
            f"task_vocabulary.name is {name!r}; expected one of {', '.join(_DEFAULTS)}. "
            f"For a file, set task_vocabulary.name = 'sentencepiece' and task_vocabulary.model_file"
        )
    own_file, own_extra_ids = _DEFAULTS[name]
    if name == "bytes" and model_file:
        raise UsageError(
            f"task_vocabulary.model_file is {model_file!r}, but task_vocabulary.name = 'bytes' "
            "reads no file; set task_vocabulary.name = 'sentencepiece'"
        )
    model_file = user_paths.expand(model_file) if model_file else own_file
    if name in ("sentencepiece", "huggingface", "words") and not model_file:
        raise UsageError(
            f"task_vocabulary.name is {name!r} and task_vocabulary.model_file is not set; set it "
            "to the path of a file that primer data vocabulary wrote"
            + (", or of a tokenizer.json" if name == "huggingface" else "")
        )
    return name, model_file, own_extra_ids if extra_ids is None else extra_ids


def vocabulary_names() -> list[str]:
    """Returns the valid values of task_vocabulary.name."""
    return list(_DEFAULTS)


class TaskVocabulary(seqio.Vocabulary):
    """The vocabulary that gin chooses for a task, resolved at each use.

    Args:
        default: the task's vocabulary unless gin names another; one of `vocabulary_names()`.
    """

    def __init__(self, default: str) -> None:
        # super().__init__ is not called: the number of extra ids is the chosen vocabulary's.
        self._default = default

    def choice(self) -> Choice:
        """Returns (name, model file or None, extra ids) under gin's settings; reads no file."""
        return choose_vocabulary(self._default)

    def resolve(self) -> seqio.Vocabulary:
        """Returns the chosen vocabulary; the first call reads its file.

        Raises:
            UsageError: the file cannot be read, or does not match the settings.
        """
        return self._loaded().vocabulary

    def _loaded(self):
        name, _, extra_ids = choice = self.choice()
        return loading.open_vocabulary(name, _copies.path(choice), extra_ids)

    def identity(self) -> str:
        """Returns a short text, equal for two vocabularies that give every text the same ids."""
        vocabulary = self.resolve()
        size = f"{vocabulary.vocab_size} ids"
        if isinstance(vocabulary, WordVocabulary):
            return f"words {_digest(vocabulary.words)}, {size}"
        if isinstance(vocabulary, CharacterVocabulary):
            return f"characters {_digest(vocabulary.characters)}, {size}"
        name, _, extra_ids = self.choice()
        if name == "huggingface":
            return vocabulary.identity()
        if name == "bytes":
            return f"bytes, {size}"
        digest = hashlib.sha256(vocabulary.sp_model).hexdigest()[:16]
        return f"sentencepiece {digest}, {size}, {extra_ids} extra"

    def setting(self) -> dict:
        """Returns gin's settings in a form that can be stored: the same on every machine."""
        name, model_file, extra_ids = self.choice()
        own = model_file == _DEFAULTS[name][0]
        found = {"name": name, "model_file": None if own else model_file, "extra_ids": extra_ids}
        if name == "huggingface":
            found |= tokenizer_files.gin_settings()._asdict()
        return found

    def file(self) -> tuple[str, bytes] | None:
        """Returns (name for a copy, content) of the vocabulary's file; None if it has no file."""
        content = self._loaded().content
        if content is None:
            return None
        return _COPY_NAMES.get(self.choice()[0], "vocabulary.model"), content

    def original_content(self) -> bytes | None:
        """Returns what `file` returns where no copy is read; None if the file cannot be read."""
        name, path, extra_ids = self.choice()
        try:
            if name == "huggingface":
                return loading.open_vocabulary(name, path, extra_ids).content
            return vocabulary_file.read_content(path) if path else None
        except (UsageError, tf.errors.OpError):
            return None

    def reading_copy(self, path: str) -> contextlib.AbstractContextManager[None]:
        """Returns a context in which `path` is read in place of the file that gin chooses.

        Args:
            path: a copy of that file, made when a model was trained.
        """
        return _copies.reading(self.choice(), path)

    @property
    def bos_id(self) -> int | None:
        """The chosen vocabulary's id of the start of a text, or None."""
        return self.resolve().bos_id

    @property
    def eos_id(self) -> int | None:
        """The chosen vocabulary's id of the end token."""
        return self.resolve().eos_id

    @property
    def pad_id(self) -> int:
        """The chosen vocabulary's id of padding."""
        return self.resolve().pad_id

    @property
    def unk_id(self) -> int | None:
        """The chosen vocabulary's id of unknown tokens."""
        return self.resolve().unk_id

    @property
    def extra_ids(self) -> int:
        """The number of ids added at the end."""
        return self.choice()[2]

    @property
    def id_offset(self) -> int:
        """What an id is higher than in the vocabulary's own file; 0 but for some tokenizers."""
        return getattr(self.resolve(), "id_offset", 0)

    @property
    def vocab_size(self) -> int:
        """The number of ids, including the extra ones."""
        return self.resolve().vocab_size

    @property
    def _base_vocab_size(self):
        return self.resolve()._base_vocab_size

    def encode(self, s: str) -> list[int]:
        """Returns the ids of a text, as the chosen vocabulary does."""
        return self.resolve().encode(s)

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of ids, as the chosen vocabulary does."""
        return self.resolve().decode(ids)

    def text_of(self, ids: Iterable[int]) -> str:
        """Returns the text of ids, with that of an end token behind them where it has one."""
        return getattr(self.resolve(), "text_of", self.decode)(ids)

    def encode_tf(self, s: tf.Tensor) -> tf.Tensor:
        """Returns the ids of a text in the graph, as the chosen vocabulary does."""
        return self.resolve().encode_tf(s)

    def decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the text of ids in the graph, as the chosen vocabulary does."""
        return self.resolve().decode_tf(ids)

    # The methods that seqio.Vocabulary declares abstract; the four above do not call them.
    _encode, _decode, _encode_tf, _decode_tf = encode, decode, encode_tf, decode_tf

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TaskVocabulary):
            if self.choice() == other.choice():
                return True
            other = other.resolve()
        if not isinstance(other, seqio.Vocabulary):
            return NotImplemented
        return self.resolve() == other

    # Equality depends on gin's current settings, so the hash may depend on the class only.
    def __hash__(self) -> int:
        return hash(TaskVocabulary)

    def __repr__(self) -> str:
        return f"TaskVocabulary({self._default!r})"

    __str__ = __repr__


def _digest(entries):
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()[:16]
