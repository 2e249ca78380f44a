"""Trains GPT-2's byte-level BPE (Radford et al. 2019, section 2.2) with the package `tokenizers`.

A text is split by GPT-2's regular expression into words, each with the blank before it, and the
bytes of a word are merged. Every text has ids, and the ids give back every text. Unlike GPT-2's,
the vocabulary begins with the padding and the end token, ids 0 and 1 here and in the tokenizer.
"""

from collections.abc import Iterable

from primer.data.vocabularies import huggingface
from primer.errors import UsageError

KIND = "byte_bpe"
PADDING, END = "<|padding|>", "<|endoftext|>"

_LEAST = 2 + 256  # The special tokens and the bytes.


def train(texts: Iterable[bytes], size: int) -> bytes:
    """Trains a tokenizer and returns its tokenizer.json; the same texts always give the same file.

    Args:
        texts: documents, UTF-8.
        size: total number of ids, including the special tokens and the 256 bytes.

    Raises:
        UsageError: the texts do not give a vocabulary of this size, or `tokenizers` is missing.
    """
    tokenizers = huggingface.require_package()
    if size < _LEAST:
        raise UsageError(
            f"--size is {size}; expected {_LEAST} or more: 256 bytes, padding and the end token"
        )
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    byte_level = tokenizers.pre_tokenizers.ByteLevel
    tokenizer.pre_tokenizer = byte_level(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PADDING, END],
        initial_alphabet=byte_level.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text.decode() for text in texts), trainer)
    found = tokenizer.get_vocab_size()
    if found < size:
        raise UsageError(
            f"--size is {size}, and the text is too small for so many tokens: set it to <= "
            f"{found}, or add text"
        )
    return tokenizer.to_str(pretty=True).encode()
