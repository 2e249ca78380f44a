"""The vocabulary of a task, chosen by gin and read only when it is used.

seqio wants a task's vocabulary when the task is registered, which is before gin has read anything
and on machines that may not have the vocabulary at all. `TaskVocabulary` is a seqio vocabulary
that asks gin at its first use:

    task_vocabulary.name = "bytes"      # or "t5", "sotu", "sentencepiece", "words", "characters"
    task_vocabulary.model_file = "/data/cc_all.32000.model"       # or what `primer data` made

A run that goes on from checkpoints reads the copy of the file beside them: `reading_copy`.
"""

import contextlib
import hashlib
import json
import os

import gin
import seqio

from primer.data.vocabularies import loading
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
    "bytes": (None, 0),
    "words": (None, 0),
    "characters": (None, 0),
}

# choice -> the file that is read in place of the one it names. See `reading_copy`.
_stand_ins = {}


@gin.configurable("task_vocabulary", module="primer")
def gin_settings(
    name: str | None = None, model_file: str | None = None, extra_ids: int | None = None
) -> tuple[str | None, str | None, int | None]:
    """The vocabulary of every task of the project, as gin has it.

    Args:
        name: "t5" (32,000 pieces and 100 extra ids), "sotu" (8,192 pieces, comes with the
            project, reads any text without loss), "bytes" (259 ids), "sentencepiece" (any
            model, named by `model_file`), "words" (the file says which) or "characters" (those
            of a file, or text8's 27). None leaves each task its own.
        model_file: the file of the vocabulary: a SentencePiece model, for instance a local copy
            of T5's, or a list of words or characters with their counts.
        extra_ids: ids to add at the end; None for as many as the name implies.
    """
    # Checked by `choose_vocabulary`: gin adds lines of its own to an error that is raised in here.
    return name, model_file, extra_ids


def choose_vocabulary(default: str) -> tuple[str, str | None, int]:
    """The vocabulary that gin chooses for a task whose own is called `default`.

    Returns:
        (name, model file or None, number of extra ids).

    Raises:
        UsageError: the settings name no vocabulary.
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
    model_file = model_file or own_file
    if name in ("sentencepiece", "words") and not model_file:
        raise UsageError(
            f"task_vocabulary.name is {name!r} and task_vocabulary.model_file is not set; set it "
            "to the path of a file that primer data vocabulary wrote"
        )
    return name, model_file, own_extra_ids if extra_ids is None else extra_ids


def vocabulary_names() -> list[str]:
    """What task_vocabulary.name may be."""
    return list(_DEFAULTS)


class TaskVocabulary(seqio.Vocabulary):
    """The vocabulary that gin chooses for a task, resolved at each use.

    Args:
        default: what the task has when gin says nothing; a name that `choose_vocabulary` knows.
    """

    def __init__(self, default: str):
        # Not super().__init__: the number of extra ids is the chosen vocabulary's.
        self._default = default

    def choice(self) -> tuple[str, str | None, int]:
        """(name, model file or None, extra ids) as gin says now; reads no file."""
        return choose_vocabulary(self._default)

    def resolve(self) -> seqio.Vocabulary:
        """The vocabulary itself; reads its file the first time.

        Raises:
            UsageError: it cannot be read, or it is not what the settings say.
        """
        return self._opened().vocabulary

    def _opened(self):
        name, model_file, extra_ids = choice = self.choice()
        model_file = _stand_ins.get(choice, model_file)
        return loading.open_vocabulary(name, model_file, extra_ids)

    def identity(self) -> str:
        """A short text that is equal for two vocabularies that give every text the same ids."""
        vocabulary = self.resolve()
        size = f"{vocabulary.vocab_size} ids"
        if isinstance(vocabulary, WordVocabulary):
            return f"words {_digest(vocabulary.words)}, {size}"
        if isinstance(vocabulary, CharacterVocabulary):
            return f"characters {_digest(vocabulary.characters)}, {size}"
        name, _, extra_ids = self.choice()
        if name == "bytes":
            return f"bytes, {size}"
        digest = hashlib.sha256(vocabulary.sp_model).hexdigest()[:16]
        return f"sentencepiece {digest}, {size}, {extra_ids} extra"

    def setting(self) -> dict:
        """What gin says now, as it can be kept in a file: the same on every machine."""
        name, model_file, extra_ids = self.choice()
        own = model_file == _DEFAULTS[name][0]
        return {"name": name, "model_file": None if own else model_file, "extra_ids": extra_ids}

    def file(self) -> tuple[str, bytes] | None:
        """A name for a copy of the vocabulary's file, and its content; None where it has none."""
        content = self._opened().content
        if content is None:
            return None
        is_text = self.choice()[0] in ("words", "characters")
        return "vocabulary.txt" if is_text else "vocabulary.model", content

    def reading_copy(self, path: str):
        """A context in which `path` is read in place of the file that gin's choice names.

        Args:
            path: a copy of what that file was when a model was trained.
        """
        return _standing_in(self.choice(), path)

    @property
    def bos_id(self):
        return self.resolve().bos_id

    @property
    def eos_id(self):
        return self.resolve().eos_id

    @property
    def pad_id(self):
        return self.resolve().pad_id

    @property
    def unk_id(self):
        return self.resolve().unk_id

    @property
    def extra_ids(self):
        return self.choice()[2]

    @property
    def vocab_size(self):
        return self.resolve().vocab_size

    @property
    def _base_vocab_size(self):
        return self.resolve()._base_vocab_size

    def encode(self, s):
        return self.resolve().encode(s)

    def decode(self, ids):
        return self.resolve().decode(ids)

    def encode_tf(self, s):
        return self.resolve().encode_tf(s)

    def decode_tf(self, ids):
        return self.resolve().decode_tf(ids)

    # What seqio.Vocabulary declares abstract; the four above go past it.
    _encode, _decode, _encode_tf, _decode_tf = encode, decode, encode_tf, decode_tf

    def __eq__(self, other):
        if isinstance(other, TaskVocabulary):
            if self.choice() == other.choice():
                return True
            other = other.resolve()
        if not isinstance(other, seqio.Vocabulary):
            return NotImplemented
        return self.resolve() == other

    # Equality follows gin's present choice, so nothing narrower than the class may be hashed.
    def __hash__(self):
        return hash(TaskVocabulary)

    def __repr__(self):
        return f"TaskVocabulary({self._default!r})"

    __str__ = __repr__


@contextlib.contextmanager
def _standing_in(choice, path):
    before = dict(_stand_ins)
    _stand_ins[choice] = path
    try:
        yield
    finally:
        _stand_ins.clear()
        _stand_ins.update(before)


def _digest(entries):
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()[:16]
