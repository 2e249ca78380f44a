"""Reads the files of a Hugging Face tokenizer: the definition, and which token ends a document.

    tokenizer.json                    any tokenizer of the package `tokenizers`
    vocab.json and merges.txt         GPT-2's byte-level BPE (also `encoder.json` and `vocab.bpe`)
    a folder with one of the two      as `save_pretrained` writes it

A `tokenizer.json` does not say which of its tokens ends a document. It is, in this order,
`huggingface_tokenizer.end_token`; what an earlier run recorded in its copy of the file (the key
`primer`, which `tokenizers` itself does not accept); `eos_token` of a `tokenizer_config.json` or
`special_tokens_map.json` in the folder; the first of `USUAL_ENDS` that is a token.
"""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import gin
import tensorflow as tf

from primer.common import files
from primer.data.vocabularies import vocabulary_file
from primer.errors import UsageError

USUAL_ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "[SEP]")

_DEFINITION = "tokenizer.json"
_PAIRS = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))
_BESIDE = ("tokenizer_config.json", "special_tokens_map.json")
_OWN_KEY = "primer"
_HINT = (
    "set task_vocabulary.model_file to a tokenizer.json, to GPT-2's vocab.json with merges.txt "
    "beside it, or to the folder of either"
)


class Settings(NamedTuple):
    """What gin chooses of a tokenizer; None leaves it to the file.

    Attributes:
        end_token: the token that ends a document, as "<|endoftext|>".
        split_special_tokens: whether a special token that is written in a text is read as ordinary
            text; by default it becomes its id, as in transformers.
    """

    end_token: str | None = None
    split_special_tokens: bool | None = None


@gin.configurable("huggingface_tokenizer", module="primer")
def gin_settings(
    end_token: str | None = None, split_special_tokens: bool | None = None
) -> Settings:
    """Returns gin's settings of the tokenizer, as `Settings`."""
    return Settings(end_token, split_special_tokens)


class Definition(NamedTuple):
    """A tokenizer, with all that its ids depend on.

    Attributes:
        json: what `tokenizers.Tokenizer.from_str` reads.
        end_token: the token that ends a document.
        split_special_tokens: as in `Settings`.
    """

    json: str
    end_token: str
    split_special_tokens: bool

    def content(self) -> bytes:
        """Returns the content of a file from which `read` makes the same definition."""
        own = {"end_token": self.end_token, "split_special_tokens": self.split_special_tokens}
        return json.dumps({**json.loads(self.json), _OWN_KEY: own}, ensure_ascii=False).encode()


def located(path: str) -> str:
    """Returns the file that a path means: itself, or the tokenizer's file in a folder."""
    if not tf.io.gfile.isdir(path):
        return path
    for name in (_DEFINITION, *(vocabulary for vocabulary, _ in _PAIRS)):
        if tf.io.gfile.exists(os.path.join(path, name)):
            return os.path.join(path, name)
    raise UsageError(f"task_vocabulary.model_file is {path}, a folder without a tokenizer; {_HINT}")


def all_files(path: str) -> list[str]:
    """Returns the files that decide what `read` returns, whether they exist or not."""
    names = [*_BESIDE, *(merges for _, merges in _PAIRS)]
    return [path, *(os.path.join(os.path.dirname(path), name) for name in names)]


def read(path: str, settings: Settings) -> Definition:
    """Reads a tokenizer.

    Args:
        path: a file, as `located` returns it.
        settings: what gin chooses.

    Raises:
        UsageError: the file cannot be read or defines no tokenizer, or no token of it is known to
            end a document.
    """
    _check_settings(settings)
    found = _read_json(path)
    if not isinstance(found.get("model"), dict):  # GPT-2 has a token "model", whose id is here.
        found = _byte_level_bpe(path, found)
    own = found.pop(_OWN_KEY, None) or {}
    tokens = _tokens(path, found)
    split = settings.split_special_tokens
    return Definition(
        json.dumps(found, ensure_ascii=False),
        _end_token(path, settings.end_token or own.get("end_token"), tokens),
        bool(own.get("split_special_tokens") if split is None else split),
    )


def _check_settings(settings):
    if not isinstance(settings.end_token, str | None):
        raise UsageError(
            f"huggingface_tokenizer.end_token is {settings.end_token!r}; expected the text of a "
            'token, as "<|endoftext|>"'
        )
    if not isinstance(settings.split_special_tokens, bool | None):
        raise UsageError(
            f"huggingface_tokenizer.split_special_tokens is {settings.split_special_tokens!r}; "
            "expected True or False"
        )


def _read_json(path) -> dict[str, Any]:
    files.require_readable(path, "the vocabulary (task_vocabulary.model_file)", _HINT)
    try:
        found = json.loads(vocabulary_file.read_content(path))
    except ValueError as error:
        raise not_a_tokenizer(path, error) from error
    if not isinstance(found, dict):
        raise not_a_tokenizer(path, f"it holds a JSON {type(found).__name__}")
    return found


def not_a_tokenizer(path: str, reason: Exception | str) -> UsageError:
    """Returns the error for a file that defines no tokenizer."""
    said = reason if isinstance(reason, str) else files.first_line(reason)
    return UsageError(
        f"task_vocabulary.model_file is {path}, which is not a Hugging Face tokenizer "
        f"({said}); {_HINT}, or task_vocabulary.name to 'sentencepiece', "
        "'words' or 'characters' for a file of that kind"
    )


def _byte_level_bpe(path, vocabulary) -> dict[str, Any]:
    """Returns the definition of GPT-2's tokenizer (https://github.com/openai/gpt-2, encoder.py)."""
    if not all(isinstance(number, int) for number in vocabulary.values()) or len(vocabulary) < 256:
        raise not_a_tokenizer(path, "it has neither a key 'model' nor tokens with their ids")
    name = dict(_PAIRS).get(os.path.basename(path), "merges.txt")
    merges = os.path.join(os.path.dirname(path), name)
    files.require_readable(merges, "the merges of the vocabulary", f"put {name} beside {path}")
    special = [token for token in USUAL_ENDS[:1] if token in vocabulary]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    byte_level["use_regex"] = True
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_special_token(token, vocabulary[token]) for token in special],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": vocabulary,
            "merges": _read_merges(merges),
        },
    }


def _special_token(token, number):
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": token, **flags, "special": True}


def _read_merges(path) -> list[list[str]]:
    # Line feeds alone end a line: a merge may hold U+0085 or U+2028, but no blank.
    lines = vocabulary_file.read_content(path).decode("utf-8", "replace").split("\n")
    merges = [line.rstrip("\r").split(" ") for line in lines if line and line[:8] != "#version"]
    wrong = next((merge for merge in merges if len(merge) != 2), None)
    if wrong is not None:
        raise UsageError(
            f"{path} has the line {' '.join(wrong)[:40]!r}; expected two tokens with a blank "
            "between them, as GPT-2's merges.txt"
        )
    return merges


def _tokens(path, found: Mapping[str, Any]) -> set[str]:
    """The tokens of a definition; a Unigram model lists them with their scores."""
    try:
        vocabulary = found["model"]["vocab"]
        listed: Iterable = vocabulary
        if isinstance(vocabulary, list):
            listed = (piece for piece, _ in vocabulary)
        return {*listed, *(token["content"] for token in found.get("added_tokens") or ())}
    except (KeyError, TypeError, ValueError) as error:
        raise not_a_tokenizer(path, "its model has no vocabulary") from error


def _end_token(path, chosen, tokens) -> str:
    named = chosen or _end_beside(path)
    if named is not None and named not in tokens:
        raise UsageError(
            f"the end token of {path} is {named!r}, which is none of its {len(tokens):,} tokens; "
            "set huggingface_tokenizer.end_token to the one that ends a document"
        )
    usual = (token for token in USUAL_ENDS if token in tokens)
    end = named or next(usual, None)
    if end is None:
        raise UsageError(
            f"{path} does not say which token ends a document, and has none of "
            f"{', '.join(USUAL_ENDS)}; set huggingface_tokenizer.end_token to one of its tokens"
        )
    return end


def _end_beside(path) -> str | None:
    for name in _BESIDE:
        beside = os.path.join(os.path.dirname(path), name)
        if tf.io.gfile.exists(beside):
            token = _read_json(beside).get("eos_token")
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str):
                return token
    return None
