"""What is asked for: prompts, how many texts of each, and how they are drawn."""

import dataclasses
import os
import secrets

from primer.common import checks, console
from primer.data import whole_documents
from primer.errors import UsageError
from primer.generation.decode_loop import Text
from primer.generation.detokenizer import TextStream
from primer.generation.sampling import Sampling, chance_of


@dataclasses.dataclass(frozen=True)
class Request:
    """Prompts and how to continue them.

    Attributes:
        prompts: strings; "" begins a document.
        num_samples: texts per prompt.
        max_tokens: the most new tokens per text.
        sampling: a Sampling.
        seed: a whole number from 0 on: the same gives the same texts.
        stops: strings that end a text.

    Raises:
        UsageError: a value out of its range.
    """

    prompts: tuple = ("",)
    num_samples: int = 1
    max_tokens: int = 128
    sampling: Sampling = Sampling()
    seed: int = dataclasses.field(default_factory=lambda: secrets.randbelow(2**31))
    stops: tuple = ()

    def __post_init__(self):
        for name in ("num_samples", "max_tokens"):
            checks.whole_number(name, getattr(self, name))
        checks.whole_number("seed", self.seed, least=0)
        if not self.prompts:
            raise UsageError("no prompt: give at least one; an empty one begins a document")
        if "" in self.stops:
            raise UsageError("stop = '': expected a string that ends the text")


def prompts_of(prompts, prompt_file=None) -> tuple:
    """The prompts given directly and those of a file, one a line; one empty prompt if none.

    Raises:
        UsageError: the file cannot be read, is empty, or is not UTF-8.
    """
    prompts = list(prompts or ())
    if prompt_file:
        prompts += _lines(prompt_file)
    return tuple(prompts) or ("",)


def _lines(path):
    if not os.path.isfile(path):
        raise UsageError(f"prompt_file = {path!r}: there is no such file")
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"prompt_file = {path!r} cannot be read ({error}); expected UTF-8 text, a prompt a line"
        ) from error
    if not lines:
        raise UsageError(f"prompt_file = {path!r} is empty; expected a prompt a line")
    return lines


def encode(vocabulary, prompts) -> list:
    """The token ids of each prompt; says what the vocabulary cannot write.

    Args:
        vocabulary: a seqio vocabulary.
        prompts: strings.
    """
    for prompt in prompts:
        _check_text(prompt)
    encoded = [ids.tolist() for ids in whole_documents.encode(vocabulary, prompts)]
    for prompt, ids in zip(prompts, encoded, strict=True):
        if ids and vocabulary.decode(ids) != prompt:
            unknown = sum(i == vocabulary.unk_id for i in ids)
            what = "other characters or spaces"
            if unknown:
                what = f"{unknown} unknown token{'s' * (unknown != 1)} in it"
            console.say(
                f"primer: the vocabulary cannot write the prompt {_short(prompt)} as it is: the "
                f"model reads {_short(vocabulary.decode(ids))} ({what})"
            )
    return encoded


def _check_text(prompt):
    """A lone surrogate is what Python makes of a byte on the command line that is not UTF-8."""
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the prompt {ascii(prompt)} is not UTF-8 text; give it in the encoding UTF-8"
        ) from error


def _short(text):
    text = repr(text)
    return text if len(text) <= 60 else f"{text[:40]}...{text[-16:]}"


def texts(request, vocabulary, encoded) -> list:
    """A request's texts as (prompt index, sample index, Text), samples of a prompt together."""
    return [
        (
            p,
            s,
            Text(
                ids=list(ids),
                prompt_length=len(ids),
                chance=chance_of(request.seed, p, s),
                stream=TextStream(vocabulary, ids, request.stops),
            ),
        )
        for p, ids in enumerate(encoded)
        for s in range(request.num_samples)
    ]
