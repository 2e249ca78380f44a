"""A vocabulary as Hugging Face's `tokenizer.json`, with the same ids for the same text.

Texts that spell special tokens (`</s>`) are text here, and in Hugging Face's tokenizers too where
`split_special_tokens` is set, as `config_of` sets it. Two texts differ: one that spells a token of
bytes (`<0x0A>`) for a SentencePiece vocabulary without `<`, and the word `<pad>` of a vocabulary of
words. Decoding writes `<unk>` and `<eos>` for what is a question mark and a line end here.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import seqio
from sentencepiece import sentencepiece_model_pb2

from primer.data.vocabularies.characters import CharacterVocabulary
from primer.data.vocabularies.special_ids import EOS_ID, PAD_ID, UNK_ID
from primer.data.vocabularies.words import WordVocabulary
from primer.errors import UsageError

_NAMES = {PAD_ID: "<pad>", EOS_ID: "</s>", UNK_ID: "<unk>"}
_BLANK = "\u2581"  # SentencePiece's blank.
_NEVER = -1e9  # The score of a piece that no text has.
_EACH_CHARACTER = {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated"}
_Json = dict[str, Any]
_PB: Any = sentencepiece_model_pb2  # Made by protoc, without types.


def of_vocabulary(vocabulary: seqio.Vocabulary) -> _Json:
    """Returns the content of `tokenizer.json`.

    Args:
        vocabulary: a resolved vocabulary: SentencePiece, bytes, characters or words.

    Raises:
        UsageError: the vocabulary is of another kind.
    """
    if isinstance(vocabulary, seqio.SentencePieceVocabulary):
        parts, names = _sentencepiece(vocabulary.sp_model)
    elif isinstance(vocabulary, seqio.ByteVocabulary):
        parts, names = _bytes(), _NAMES
    elif isinstance(vocabulary, CharacterVocabulary):
        parts, names = _characters(vocabulary.characters), _NAMES
    elif isinstance(vocabulary, WordVocabulary):
        parts, names = _words(vocabulary.words), {i: vocabulary.words[i] for i in _NAMES}
    else:
        raise UsageError(
            f"a vocabulary of class {type(vocabulary).__name__} cannot be written as a "
            "tokenizer.json: expected SentencePiece, bytes, characters or words"
        )
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(i, name) for i, name in sorted(_all(names, vocabulary).items())],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        **parts,
    }


def config_of(tokenizer: _Json, eos_id: int, length: int) -> _Json:
    """Returns the content of `tokenizer_config.json`.

    Args:
        tokenizer: what `of_vocabulary` returned.
        eos_id: the id of the vocabulary's end token.
        length: tokens of the model's window.
    """
    names = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        # Rows begin with the id 0.
        "bos_token": names[PAD_ID],
        "eos_token": names[eos_id],
        "pad_token": names[PAD_ID],
        "unk_token": names[UNK_ID],
        "model_max_length": length,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,
    }


def _added(number: int, name: str) -> _Json:
    flags = {key: False for key in ("single_word", "lstrip", "rstrip", "normalized")}
    return {"id": number, "content": name, "special": True, **flags}


def _all(names: Mapping[int, str], vocabulary: seqio.Vocabulary) -> dict[int, str]:
    """Returns {id: name} of special tokens, with the extra ids at the end, in T5's order."""
    if isinstance(vocabulary, seqio.SentencePieceVocabulary):
        return dict(names)  # seqio has put the extra ids among the pieces.
    size = vocabulary.vocab_size
    extra = {size - 1 - i: f"<extra_id_{i}>" for i in range(vocabulary.extra_ids)}
    return {**names, **extra}


def _sentencepiece(serialized: bytes) -> tuple[_Json, dict[int, str]]:
    proto = _PB.ModelProto()
    proto.ParseFromString(serialized)
    trainer, kinds = proto.trainer_spec, _PB.ModelProto.SentencePiece
    special = {
        i: one.piece
        for i, one in enumerate(proto.pieces)
        if one.type in (kinds.CONTROL, kinds.UNKNOWN)
    }
    if trainer.treat_whitespace_as_suffix:
        raise UsageError("a SentencePiece vocabulary with blanks as suffixes cannot be written")
    if trainer.model_type == _PB.TrainerSpec.UNIGRAM:
        model = _unigram(proto)
    elif trainer.model_type == _PB.TrainerSpec.BPE:
        model = _bpe(proto)
    else:
        raise UsageError("a SentencePiece vocabulary of words or characters cannot be written")
    blank = {"type": "Replace", "pattern": {"String": _BLANK}, "content": " "}
    first = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    has_prefix = proto.normalizer_spec.add_dummy_prefix
    steps = [blank, {"type": "ByteFallback"}, {"type": "Fuse"}, *([first] if has_prefix else [])]
    parts = {
        "normalizer": _normalizer(proto.normalizer_spec),
        "decoder": {"type": "Sequence", "decoders": steps},
        "model": model,
    }
    return parts, special


def _normalizer(spec: Any) -> _Json:
    steps: list[_Json] = []
    if spec.precompiled_charsmap:
        table = base64.b64encode(spec.precompiled_charsmap).decode()
        steps.append({"type": "Precompiled", "precompiled_charsmap": table})
    if spec.remove_extra_whitespaces:
        for blanks, kept in ((r"\A +| +\z", ""), (" {2,}", " ")):
            steps.append({"type": "Replace", "pattern": {"Regex": blanks}, "content": kept})
    if spec.add_dummy_prefix:
        steps.append({"type": "Prepend", "prepend": _BLANK})
    steps.append({"type": "Replace", "pattern": {"String": " "}, "content": _BLANK})
    return {"type": "Sequence", "normalizers": steps}


def _unigram(proto: Any) -> _Json:
    kinds = _PB.ModelProto.SentencePiece
    normal = [one.score for one in proto.pieces if one.type == kinds.NORMAL]
    vocabulary = []
    for one in proto.pieces:
        score = one.score if one.type == kinds.NORMAL else _NEVER
        if one.type == kinds.USER_DEFINED:
            # As SentencePiece's unigram model scores them, so that they are always found.
            score = len(one.piece) * max(normal) - 0.1
        vocabulary.append([one.piece, score])
    return {
        "type": "Unigram",
        "unk_id": proto.trainer_spec.unk_id,
        "vocab": vocabulary,
        "byte_fallback": proto.trainer_spec.byte_fallback,
    }


def _bpe(proto: Any) -> _Json:
    """Returns the model of a BPE; a merge is as early as its piece is likely."""
    ids = {one.piece: i for i, one in enumerate(proto.pieces)}
    kinds = _PB.ModelProto.SentencePiece
    merges = []
    for piece, i in ids.items():
        if proto.pieces[i].type != kinds.NORMAL:
            continue
        halves = ((piece[:n], piece[n:]) for n in range(1, len(piece)))
        known = [(left, right) for left, right in halves if left in ids and right in ids]
        known.sort(key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        merges += [(proto.pieces[i].score, pair) for pair in known]
    merges.sort(key=lambda entry: -entry[0])
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": proto.pieces[proto.trainer_spec.unk_id].piece,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": proto.trainer_spec.byte_fallback,
        "ignore_merges": False,
        "vocab": ids,
        "merges": [list(pair) for _, pair in merges],
    }


def _words_level(entries: Mapping[str, int], unknown: str) -> _Json:
    return {"type": "WordLevel", "vocab": dict(entries), "unk_token": unknown}


def _bytes() -> _Json:
    symbols = {symbol: byte + len(_NAMES) for byte, symbol in enumerate(_byte_symbols())}
    special = {name: i for i, name in _NAMES.items()}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
    steps = [{**level, "use_regex": False}, {**_EACH_CHARACTER, "invert": False}]
    return {
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "decoder": {**level, "use_regex": False},
        "model": _words_level({**special, **symbols}, _NAMES[UNK_ID]),
    }


def _byte_symbols() -> list[str]:
    """Returns the character by which ByteLevel writes each byte: itself, if it is visible."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in visible else next(others)) for byte in range(256)]


def _characters(characters: Sequence[str]) -> _Json:
    ids = {name: i for i, name in _NAMES.items()}
    ids |= {character: i for i, character in enumerate(characters, len(_NAMES))}
    return {
        "pre_tokenizer": {**_EACH_CHARACTER, "invert": False},
        "decoder": {"type": "Fuse"},
        "model": _words_level(ids, _NAMES[UNK_ID]),
    }


def _words(words: Sequence[str]) -> _Json:
    line_end = {"Regex": "\r\n?|\n"}
    blank = {"Regex": "[ \t\x0b\x0c]+"}
    return {
        "normalizer": {"type": "Replace", "pattern": line_end, "content": f" {words[EOS_ID]} "},
        "pre_tokenizer": {
            **{"type": "Split", "pattern": blank, "behavior": "Removed", "invert": False}
        },
        "model": _words_level({word: i for i, word in enumerate(words)}, words[UNK_ID]),
    }
