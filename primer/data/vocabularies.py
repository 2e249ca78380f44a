"""The vocabulary of a task, chosen by gin and read only when it is used.

seqio wants a task's vocabulary when the task is registered, which is before gin has read anything
and on machines that may not have the vocabulary at all. `TaskVocabulary` is a seqio vocabulary
that asks gin at its first use:

    task_vocabulary.name = "bytes"                              # or "t5", "sotu", "sentencepiece"
    task_vocabulary.model_file = "/data/cc_all.32000.model"     # a SentencePiece model
"""

import functools
import hashlib
import os

import gin
import seqio
import tensorflow as tf

from primer.data import files
from primer.errors import UsageError

T5_MODEL = "gs://t5-data/vocabs/cc_all.32000/sentencepiece.model"
SOTU_MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sotu.8192.model")

# name -> (model file, extra ids). T5's sentinels are part of its vocabulary's size, 32,100.
_DEFAULTS = {
    "t5": (T5_MODEL, 100),
    "sotu": (SOTU_MODEL, 0),
    "sentencepiece": (None, 0),
    "bytes": (None, 0),
}


@gin.configurable("task_vocabulary", module="primer")
def settings(
    name: str | None = None, model_file: str | None = None, extra_ids: int | None = None
) -> tuple[str | None, str | None, int | None]:
    """The vocabulary of every task of the project, as gin has it.

    Args:
        name: "t5" (32,000 pieces and 100 extra ids), "sotu" (8,192 pieces, comes with the
            project, reads any text without loss), "bytes" (259 ids) or "sentencepiece" (any
            model, named by `model_file`). None leaves each task its own.
        model_file: a SentencePiece model to read instead of the named vocabulary's own file,
            for instance a local copy of T5's.
        extra_ids: ids to add at the end; None for as many as the name implies.
    """
    # Checked by `choose`: gin adds lines of its own to an error that is raised in here.
    return name, model_file, extra_ids


def choose(default: str) -> tuple[str, str | None, int]:
    """The vocabulary that gin chooses for a task whose own is called `default`.

    Returns:
        (name, model file or None, number of extra ids).

    Raises:
        UsageError: the settings name no vocabulary.
    """
    name, model_file, extra_ids = settings()
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
    if name == "sentencepiece" and not model_file:
        raise UsageError(
            "task_vocabulary.name is 'sentencepiece' and task_vocabulary.model_file is not set; "
            "set it to the path of a SentencePiece model"
        )
    return name, model_file, own_extra_ids if extra_ids is None else extra_ids


def names() -> list[str]:
    """What task_vocabulary.name may be."""
    return list(_DEFAULTS)


@functools.lru_cache(maxsize=8)
def _open(name: str, model_file: str | None, extra_ids: int) -> seqio.Vocabulary:
    if name == "bytes":
        return seqio.ByteVocabulary(extra_ids=extra_ids)
    files.require(
        model_file,
        "the vocabulary (task_vocabulary.model_file)",
        "set task_vocabulary.model_file to a SentencePiece model on this machine (for T5's, a copy "
        f"of {T5_MODEL}), or task_vocabulary.name to 'bytes' or 'sotu', which need no file",
    )
    vocabulary = seqio.SentencePieceVocabulary(model_file, extra_ids)
    try:
        vocabulary.load_model()
    except (tf.errors.OpError, OSError, RuntimeError, ValueError) as error:
        raise _not_a_model(model_file, error) from error
    except Exception as error:  # protobuf's DecodeError moved between its releases.
        if type(error).__name__ != "DecodeError":
            raise
        raise _not_a_model(model_file, error) from error
    _check_special_ids(vocabulary, model_file)
    return vocabulary


def _not_a_model(model_file, error):
    return UsageError(
        f"task_vocabulary.model_file is {model_file}, which is not a SentencePiece model "
        f"({files.first_line(error)}); expected a file that SentencePieceTrainer wrote"
    )


def _check_special_ids(vocabulary, model_file):
    """Mesh-TensorFlow's packing and decoding take padding for 0 and end of sequence for 1."""
    found = (vocabulary.tokenizer.pad_id(), vocabulary.tokenizer.eos_id())
    if found != (0, 1):
        raise UsageError(
            f"task_vocabulary.model_file is {model_file}, whose (pad, eos) ids are {found}; "
            "expected (0, 1): train it with pad_id=0, eos_id=1, unk_id=2, bos_id=-1"
        )


class TaskVocabulary(seqio.Vocabulary):
    """The vocabulary that gin chooses for a task, resolved at each use.

    Args:
        default: what the task has when gin says nothing; a name that `choose` knows.
    """

    def __init__(self, default: str):
        # Not super().__init__: the number of extra ids is the chosen vocabulary's.
        self._default = default

    def choice(self) -> tuple[str, str | None, int]:
        """(name, model file or None, extra ids) as gin says now; reads no file."""
        return choose(self._default)

    def resolve(self) -> seqio.Vocabulary:
        """The vocabulary itself; reads its file the first time.

        Raises:
            UsageError: it cannot be read, or it is not what the settings say.
        """
        return _open(*self.choice())

    def identity(self) -> str:
        """A short text that is equal for two vocabularies that give every text the same ids."""
        vocabulary = self.resolve()
        name, _, extra_ids = self.choice()
        if name == "bytes":
            return f"bytes, {vocabulary.vocab_size} ids"
        digest = hashlib.sha256(vocabulary.sp_model).hexdigest()[:16]
        return f"sentencepiece {digest}, {vocabulary.vocab_size} ids, {extra_ids} extra"

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
