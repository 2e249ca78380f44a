"""A vocabulary of a Hugging Face tokenizer: the ids of `transformers`, text for text.

The package `tokenizers` does the work, with the calls that a `PreTrainedTokenizerFast` makes with
`add_special_tokens=False`: the objective adds end tokens, and the start of a text is id 0.

**Ids.** Mesh-TensorFlow takes id 0 for padding and for the start of a text. A tokenizer whose id 0
is a padding token (T5's, those of `primer data vocabulary --model byte_bpe`) keeps its ids. In any
other, as GPT-2's, 0 is an ordinary token: each id is one higher here than in the tokenizer
(`id_offset` is 1), and the vocabulary has one id more, as with `gpt_neo_records.vocabulary_size`.
What leaves the library has the tokenizer's own ids: `primer generate --ids`, GPT-Neo's records.

**Special tokens in a text**, as "<|endoftext|>", become their ids, as in transformers, so that the
numbers of a text can be compared; with `huggingface_tokenizer.split_special_tokens` they are
ordinary text, as in the other vocabularies. A padding token that keeps id 0 is never one of a text:
it is read as unknown, or left out where there is no unknown token.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from primer.data.vocabularies.special_ids import PAD_ID
from primer.data.vocabularies.tokenizer_files import Definition, not_a_tokenizer
from primer.errors import UsageError

_PADDING_TOKENS = ("<pad>", "[PAD]", "<|padding|>", "<|pad|>")


class HuggingFaceVocabulary(seqio.Vocabulary):
    """Maps texts to ids as a Hugging Face tokenizer.

    Args:
        definition: the tokenizer.
        path: its file, for errors.
        extra_ids: number of ids to add at the end; they decode as nothing. A model whose embedding
            is larger than its tokenizer has them.

    Raises:
        UsageError: `tokenizers` is not installed, or cannot read the definition.

    Attributes:
        definition: as given.
        tokenizer: the `tokenizers.Tokenizer`.
        id_offset: 0 or 1, what an id is higher here than in the tokenizer.
    """

    def __init__(self, definition: Definition, path: str = "", extra_ids: int = 0) -> None:
        super().__init__(extra_ids)
        self.definition = definition
        self.tokenizer = _tokenizer(definition, path)
        self.id_offset = int(not _is_padding(self.tokenizer))
        ids = self.tokenizer.get_vocab(with_added_tokens=True)
        self._size = max(ids.values()) + 1 + self.id_offset
        self._eos = ids[definition.end_token] + self.id_offset
        self._unknown = _unknown_id(json.loads(definition.json)["model"], ids)

    @property
    def bos_id(self) -> int | None:
        """None: id 0 is the start of a text."""
        return None

    @property
    def eos_id(self) -> int:
        """The id of the token that ends a document."""
        return self._eos

    @property
    def unk_id(self) -> int | None:
        """The id of what the tokenizer does not have; None if it has an id for every text."""
        return None if self._unknown is None else self._unknown + self.id_offset

    @property
    def special_ids(self) -> list[int]:
        """The ids of the tokens that the tokenizer calls special."""
        added = self.tokenizer.get_added_tokens_decoder()
        return sorted(number + self.id_offset for number, token in added.items() if token.special)

    @property
    def _base_vocab_size(self):
        return self._size

    def identity(self) -> str:
        """Returns a short text, equal for two vocabularies that give every text the same ids."""
        digest = hashlib.sha256(self._key).hexdigest()[:16]
        return f"huggingface {digest}, {self.vocab_size} ids, {self.extra_ids} extra"

    @functools.cached_property
    def _key(self):
        """All that decides the ids; not the truncation and padding of a batch, which are unused."""
        found = json.loads(self.definition.json)
        unused = ("version", "truncation", "padding", "post_processor")
        used = {name: value for name, value in found.items() if name not in unused}
        return json.dumps([used, *self.definition[1:]], sort_keys=True).encode()

    def _encode(self, s):
        text = s.encode("utf-8", "surrogateescape")  # `whole_documents` has bytes in that form.
        return self._encode_batch([text])[0].tolist()

    def _encode_batch(self, texts: Sequence[bytes]) -> list[np.ndarray]:
        """Returns the ids of texts; their bytes that are not UTF-8 are U+FFFD."""
        strings = [text.decode("utf-8", "replace") for text in texts]
        encodings = self.tokenizer.encode_batch_fast(strings, add_special_tokens=False)
        return [self._ids(encoding.ids) for encoding in encodings]

    def _ids(self, found):
        ids = np.array(found, np.int32) + self.id_offset
        if self.id_offset or ids.all():
            return ids
        return ids[ids != PAD_ID] if self.unk_id is None else np.where(ids, ids, self.unk_id)

    def _encode_tf(self, s):
        flat, lengths = tf.numpy_function(
            self._encode_flat, [tf.reshape(s, [-1])], [tf.int32, tf.int64], stateful=False
        )
        flat, lengths = tf.ensure_shape(flat, [None]), tf.ensure_shape(lengths, [None])
        if s.shape.rank == 0:
            return flat
        return tf.RaggedTensor.from_row_lengths(flat, lengths, validate=False)

    def _encode_flat(self, texts):
        found = self._encode_batch(texts.tolist())
        flat = np.concatenate([np.zeros([0], np.int32), *found]).astype(np.int32)
        return flat, np.array([len(ids) for ids in found], np.int64)

    def decode(self, ids: Iterable[int] | tf.Tensor) -> str:
        """Returns the text of ids, without padding and without an end token behind them.

        An end token between others is written, as "<|endoftext|>": it is one of the text.
        """
        return self._decode(ids.numpy().tolist() if hasattr(ids, "numpy") else list(ids))

    def _decode(self, ids):
        ids = [number for number in ids if number != PAD_ID]
        return self.text_of(ids[:-1] if ids and ids[-1] == self._eos else ids)

    def text_of(self, ids: Iterable[int]) -> str:
        """Returns the text of ids as transformers' `decode`, that of special tokens included."""
        own = [int(number) - self.id_offset for number in ids]
        known = [number for number in own if 0 <= number < self._size - self.id_offset]
        return self.tokenizer.decode(known, skip_special_tokens=False)

    def piece(self, number: int) -> str:
        """Returns a token as the tokenizer's own vocabulary writes it, as "\u0120the"."""
        own = int(number) - self.id_offset
        return (self.tokenizer.id_to_token(own) or "") if own >= 0 else ""

    def decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns texts as `decode`: [..., length] ids -> [...] strings."""
        return self._decode_tf(ids)

    def _decode_tf(self, ids):
        length = tf.shape(ids)[-1]
        rows = tf.reshape(ids, tf.stack([tf.reduce_prod(tf.shape(ids)[:-1]), length]))
        texts = tf.numpy_function(self._decode_rows, [rows], tf.string, stateful=False)
        return tf.ensure_shape(tf.reshape(texts, tf.shape(ids)[:-1]), ids.shape[:-1])

    def _decode_rows(self, rows):
        return np.array([self._decode(row).encode() for row in rows.tolist()], object)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HuggingFaceVocabulary):
            return NotImplemented
        return self._key == other._key and self.extra_ids == other.extra_ids

    def __hash__(self) -> int:
        return hash((HuggingFaceVocabulary, self._size, self.extra_ids))


def require_package() -> Any:
    """Returns the package `tokenizers`.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import tokenizers
    except ImportError as error:
        raise UsageError(
            "tokenizers of Hugging Face (task_vocabulary.name = 'huggingface', primer data "
            "vocabulary --model byte_bpe) need the package tokenizers, which is not installed: "
            "pip install 'primer[huggingface]', or pip install tokenizers"
        ) from error
    return tokenizers


def _tokenizer(definition, path):
    package = require_package()
    try:
        tokenizer = package.Tokenizer.from_str(definition.json)
    except Exception as error:  # The package raises nothing more exact.
        raise not_a_tokenizer(path, error) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = definition.split_special_tokens
    return tokenizer


def _is_padding(tokenizer) -> bool:
    """Whether id 0 is a padding token, which no text has."""
    first = tokenizer.get_added_tokens_decoder().get(0)
    return first is not None and first.special and first.content in _PADDING_TOKENS


def _unknown_id(model, ids) -> int | None:
    """The tokenizer's id of an unknown token: Unigram has a number, the other models a text."""
    if model.get("unk_id") is not None:
        return model["unk_id"]
    return ids.get(model.get("unk_token"))
