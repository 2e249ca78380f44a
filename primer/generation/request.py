"""A generation request: prompts, the number of samples, and how tokens are sampled."""

import dataclasses
import os
import secrets
from codecs import BOM_UTF8
from collections.abc import Iterable, Sequence

import seqio

from primer.common import console, text_lines, user_paths
from primer.common.settings import generation_settings
from primer.data import whole_documents
from primer.errors import UsageError
from primer.generation.decode_loop import DecodedSequence
from primer.generation.detokenizer import Detokenizer
from primer.generation.sampling import Sampling, sequence_rng
from primer.generation.token_numbers import TokenNumbers


@dataclasses.dataclass(frozen=True)
class Request:
    """Prompts and how to continue them.

    Attributes:
        prompts: strings; "" begins a document.
        num_samples: sequences per prompt.
        max_tokens: the maximum of new tokens per sequence.
        sampling: how tokens are sampled.
        seed: a whole number from 0 on; equal seeds give equal texts.
        stops: strings that end a text.

    Raises:
        UsageError: a value is out of its range.
    """

    prompts: tuple[str, ...] = ("",)
    num_samples: int = 1
    max_tokens: int = 128
    sampling: Sampling = Sampling()
    seed: int = dataclasses.field(default_factory=lambda: secrets.randbelow(2**31))
    stops: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        generation_settings.check_request(self.num_samples, self.max_tokens, self.seed, self.stops)
        if not self.prompts:
            raise UsageError("no prompt: give at least one; an empty one begins a document")


def read_prompts(prompts: Iterable[str] | None, prompt_file: str | None = None) -> tuple[str, ...]:
    """Returns the given prompts and those of a file; one empty prompt if there are none.

    Args:
        prompts: strings, or None.
        prompt_file: the path of a UTF-8 file with one prompt per line (`text_lines`), or None.

    Raises:
        UsageError: the file cannot be read, is empty, or is not UTF-8.
    """
    prompts = list(prompts or ())
    if prompt_file:
        prompts += _lines(user_paths.expand(prompt_file))
    return tuple(prompts) or ("",)


def _lines(path):
    if not os.path.isfile(path):
        raise UsageError(f"prompt_file = {path!r}: no such file; expected UTF-8, a prompt per line")
    try:
        with open(path, "rb") as file:
            content = file.read()
        lines = [line.decode() for line in text_lines.split_lines(content.removeprefix(BOM_UTF8))]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"prompt_file = {path!r} cannot be read ({error}); expected UTF-8, a prompt per line"
        ) from error
    if not lines:
        raise UsageError(f"prompt_file = {path!r} is empty; expected a prompt per line")
    return lines


def encode_prompts(
    vocabulary: seqio.Vocabulary | TokenNumbers, prompts: Sequence[str]
) -> list[list[int]]:
    """Returns the token ids of each prompt; prints a prompt that the vocabulary cannot represent.

    Raises:
        UsageError: a prompt is not UTF-8 text, or has no ids where `vocabulary` is `TokenNumbers`.
    """
    for prompt in prompts:
        _check_utf8(prompt)
    if isinstance(vocabulary, TokenNumbers):
        return [vocabulary.encode(prompt) for prompt in prompts]
    encoded = [ids.tolist() for ids in whole_documents.encode(vocabulary, prompts)]
    text_of = getattr(vocabulary, "text_of", vocabulary.decode)
    for prompt, ids in zip(prompts, encoded, strict=True):
        if ids and text_of(ids) != prompt:
            unknown = sum(i == vocabulary.unk_id for i in ids)
            difference = "other characters or spaces"
            if unknown:
                difference = f"{unknown} unknown token{'s' * (unknown != 1)} in it"
            console.say(
                f"primer: the vocabulary cannot represent the prompt {_short(prompt)}: the "
                f"model reads {_short(text_of(ids))} ({difference})"
            )
    return encoded


def _check_utf8(prompt):
    """Python makes lone surrogates of bytes on the command line that are not UTF-8."""
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the prompt {ascii(prompt)} is not UTF-8 text; give it in the encoding UTF-8"
        ) from error


def _short(text):
    text = repr(text)
    return text if len(text) <= 60 else f"{text[:40]}...{text[-16:]}"


def new_sequences(
    request: Request, vocabulary: seqio.Vocabulary | TokenNumbers, encoded: Sequence[Sequence[int]]
) -> list[tuple[int, int, DecodedSequence]]:
    """Returns a request's (prompt index, sample index, sequence), samples of a prompt together.

    Args:
        request: the request.
        vocabulary: decodes the tokens.
        encoded: the token ids of each prompt.
    """
    return [
        (
            prompt,
            sample,
            DecodedSequence(
                ids=list(ids),
                prompt_length=len(ids),
                rng=sequence_rng(request.seed, prompt, sample),
                detokenizer=Detokenizer(vocabulary, ids, request.stops),
            ),
        )
        for prompt, ids in enumerate(encoded)
        for sample in range(request.num_samples)
    ]
