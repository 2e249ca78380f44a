"""A trained model in Python, for notebooks and scripts.

`primer.load(model_dir).score(texts)`, `.token_scores(texts)` and `.generate(prompts)`.
"""

import dataclasses
import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

import numpy as np

from primer import saved_model
from primer.checkpoints import checkpoint_files, saved_config, selection
from primer.common import user_paths
from primer.data import whole_documents
from primer.data.vocabularies.round_trip import RoundTrip
from primer.errors import UsageError
from primer.evaluation import protocols, tokenized_split, totals
from primer.evaluation.scorer import Scorer
from primer.evaluation.scores.token_pieces import TokenPieces
from primer.evaluation.totals import Totals
from primer.generation.generator import Generator
from primer.generation.request import Request
from primer.generation.sampling import Sampling
from primer.gin_config import trust as trusted_config


@dataclasses.dataclass(frozen=True)
class TokenScores:
    """The tokens of one text.

    Attributes:
        ids: [tokens] int32; the last is the end token.
        pieces: the string that each id stands for.
        log_probs: the natural logarithm of each token's probability, [tokens] float32.
    """

    ids: np.ndarray
    pieces: list[str]
    log_probs: np.ndarray


class Model:
    """A checkpoint of a model directory.

    The model is rebuilt from the directory's own `config.gin`. gin's configuration in this process
    does not change; several models may be open.

    Args:
        model_dir: a directory that `primer train` or `t5_mesh_transformer` trained in.
        checkpoint: "latest", "best" (with --eval_every), or a step.
        batch_size: windows per batch, or None for about 2,048 tokens.
        trust: Python modules that the directory's `config.gin` may import, besides Primer's
            packages.

    Raises:
        UsageError: the directory or checkpoint does not exist, or is of another model, or its
            `config.gin` imports something that is not trusted.
        RunError: the checkpoint is damaged.

    Attributes:
        model_dir: the directory, a string.
        step: the step of the checkpoint.
        length: tokens per window.
        vocabulary: a seqio vocabulary.
        scorer: a `primer.evaluation.scorer.Scorer` with the checkpoint's weights.
        identity: a short text, equal for two models of the same function, vocabulary and weights.
    """

    def __init__(
        self,
        model_dir: str | os.PathLike,
        checkpoint: str | int = "latest",
        batch_size: int | None = None,
        trust: Sequence[str] = (),
    ) -> None:
        self.model_dir = user_paths.expand(str(model_dir))
        self._config = saved_config.config_file(self.model_dir)
        trusted_config.check_config(self._config, trust)
        path = selection.select_checkpoint(self.model_dir, checkpoint)
        self.step = checkpoint_files.step_of(path)
        with self._settings():
            saved = saved_model.build(self.model_dir)
            self.vocabulary, self.length = saved.vocabulary, saved.length
            self.scorer = Scorer(saved.model, saved.length, batch_size, *saved.mesh)
            self._are_lines = whole_documents.are_lines(saved.task_name)
            self._generator = Generator(
                saved.model, saved.vocabulary, saved.length, path, *saved.mesh
            )
        self._pieces = TokenPieces(self.vocabulary)
        self.scorer.restore(path)
        self.identity = saved.function.fingerprint(
            vocabulary=saved.function.description["vocabulary"],
            weights=checkpoint_files.fingerprint(path),
        )

    def _settings(self) -> AbstractContextManager[None]:
        """A context in which gin's configuration is that of the directory."""
        return saved_model.settings_of(self.model_dir, self._config)

    def score(self, texts: Iterable[str]) -> list[Totals]:
        """Returns the loss of each text, each scored alone.

        A text gets its end token and is cut into windows of `length` tokens; a window does not see
        the one before it. This is the protocol `packed`, whatever protocol the directory's settings
        name: the texts are not one stream.

        Args:
            texts: strings; for a model of lines (LM1B, WikiText, PTB) one line each.

        Returns:
            One `Totals` per text: nats, tokens, bytes, characters and words, and from these
            nats_per_token, perplexity_per_token, bits_per_byte, bits_per_character and
            perplexity_per_word.
        """
        joined, nats = self._nats("score", texts)
        return totals.per_document(nats, joined)

    def token_scores(self, texts: Iterable[str]) -> list[TokenScores]:
        """Returns the log-probability of each token of each text, whose sums `score` returns.

        Args:
            texts: strings, as for `score`.

        Returns:
            One `TokenScores` per text: ids, pieces and log_probs of its tokens, of which the last
            is the end token.
        """
        joined, nats = self._nats("token_scores", texts)
        if not len(joined.lengths):
            return []
        parts = (np.split(values, joined.starts[1:]) for values in (joined.ids, -nats))
        return [
            TokenScores(ids, self._pieces(ids.tolist()), log_probs)
            for ids, log_probs in zip(*parts, strict=True)
        ]

    def _nats(self, caller, texts):
        """The texts as one `TokenizedSplit`, and -log p of its tokens."""
        texts = _checked_strings(f"{caller}(texts)", texts)
        ids = whole_documents.encode(self.vocabulary, texts)
        documents = zip(texts, ids, strict=True)
        joined = tokenized_split.from_documents(
            documents, self.vocabulary.eos_id, self._are_lines, RoundTrip(self.vocabulary)
        )
        tokenized_split.say_changes(joined.changes)
        return joined, protocols.Protocol("packed").token_nats(self.scorer, joined)

    def generate(
        self,
        prompts: Iterable[str],
        num_samples: int = 1,
        max_tokens: int = 128,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        stops: Sequence[str] = (),
    ) -> list[list[str]]:
        """Continues each prompt.

        Args:
            prompts: strings; "" begins a document.
            num_samples, max_tokens, temperature, top_k, top_p, seed, stops: as the options of
                `primer generate`.

        Returns:
            For each prompt a list of `num_samples` strings, without the prompt.
        """
        request = Request(
            prompts=tuple(_checked_strings("generate(prompts)", prompts)),
            num_samples=num_samples,
            max_tokens=max_tokens,
            sampling=Sampling(temperature, top_k, top_p),
            stops=tuple(stops),
            **({} if seed is None else {"seed": seed}),
        )
        generated = [[""] * num_samples for _ in request.prompts]
        with self._settings():
            for prompt, sample, _, piece in self._generator.generate(request):
                generated[prompt][sample] += piece
        return generated

    def close(self) -> None:
        """Closes the sessions; the model cannot be used afterwards."""
        self.scorer.close()
        self._generator.close()


def _checked_strings(argument, values):
    """A list of the values; raises UsageError unless they are an iterable of strings."""
    if isinstance(values, str):
        raise UsageError(f"{argument}: expected a list of strings, got one string")
    values = list(values)
    wrong = [type(value).__name__ for value in values if not isinstance(value, str)]
    if wrong:
        raise UsageError(f"{argument}: expected a list of strings, got {wrong[0]}")
    return values
