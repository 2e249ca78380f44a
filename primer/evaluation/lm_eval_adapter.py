"""An adapter of trained models for EleutherAI's lm-evaluation-harness, with its three requests.

https://github.com/EleutherAI/lm-evaluation-harness

    import lm_eval
    import primer.evaluation.lm_eval_adapter as adapter
    lm_eval.simple_evaluate(model=adapter.PrimerLM("runs/primer"), tasks=["lambada_openai"])

The extra `lm-eval` installs the harness; neither torch nor transformers is needed. Requests are
packed into rows, in which they do not see each other.

A Primer model reads a start symbol before the first token of a window, as in training. The start
symbol takes the place of the harness's prefix token. A text that fits into the model's length is
therefore one window without prefix and end token. A longer text is cut into the windows of the
harness's `get_rolling_token_windows` with a context of one token: only the first token of the text
is without context, and the last window is full. A model with memory reads a long text window after
window, each with the memory of those before it, and no text loses its beginning.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

try:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import CacheHook, TemplateLM
    from lm_eval.models.utils import normalize_gen_kwargs
except ImportError as error:
    raise ImportError(
        "primer.evaluation.lm_eval_adapter needs the harness: pip install 'primer[lm-eval]'"
    ) from error

import primer
from primer.common import tf_data
from primer.errors import UsageError
from primer.evaluation.memory.pairs import nats_and_best
from primer.evaluation.progress import Progress

# Requests at a time. The harness's `use_cache` keeps the results of a part once it is done.
_REQUESTS = 4096
_CACHED_MODEL = "primer model"  # The key in that file of the model whose results it has.
_MAX_TOKENS = 256  # New tokens where a task sets none; the default of the harness's own models.
_GENERATION = {"until", "max_gen_toks", "do_sample", "temperature", "top_k", "top_p", "seed"}


class PrimerLM(TemplateLM):
    """A checkpoint as a model of the harness.

    Args:
        model: a model directory, or what `primer.load` returned.
        checkpoint, batch_size: as for `primer.load`, for a directory.

    Raises:
        UsageError, RunError: as `primer.load`.

    Attributes:
        model: the `primer.model.Model`.
    """

    def __init__(
        self, model: Any, checkpoint: str | int = "latest", batch_size: int | None = None
    ) -> None:
        super().__init__()
        if isinstance(model, str):
            model = primer.load(model, checkpoint, batch_size)
        self.model = model
        self._encode = tf_data.TextFunction(lambda texts: [model.vocabulary.encode_tf(texts[0])])

    @property
    def eot_token_id(self) -> int:
        """The id of the vocabulary's end token."""
        return self.model.vocabulary.eos_id

    @property
    def max_length(self) -> int:
        """Tokens of the model's window."""
        return self.model.length

    def get_model_info(self) -> dict[str, Any]:
        """Returns what the harness writes beside its results."""
        model = self.model
        return {"model_dir": model.model_dir, "step": model.step, "identity": model.identity}

    def set_cache_hook(self, cache_hook: CacheHook) -> None:
        """Takes the harness's `use_cache` file, which has results by request and not by model.

        Raises:
            UsageError: the file has results of another model or checkpoint, or of an unknown one.
        """
        super().set_cache_hook(cache_hook)
        cache = cache_hook.dbdict
        if cache is None:
            return
        if not len(cache):
            cache[_CACHED_MODEL] = self.model.identity
        if cache.get(_CACHED_MODEL) != self.model.identity:
            raise UsageError(
                f"use_cache = {cache.filename!r} has results of another model or checkpoint than "
                f"step {self.model.step} of {self.model.model_dir}: name a new file"
            )

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **unused: Any
    ) -> list[int]:
        """Returns the ids of a string as in training; the model has no special tokens."""
        return self._encode([string.encode()])[0].tolist() if string else []

    def loglikelihood(
        self, requests: Sequence[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Returns (log-probability, is greedy) of each continuation.

        Args:
            requests: with `args` (context, continuation), which are tokenized together, as in the
                harness. A context that does not fit loses its beginning.
            disable_tqdm: unused; the progress line is shown on a terminal only.
        """
        return self._in_parts("loglikelihood", requests, self._encoded_pair)

    def loglikelihood_rolling(
        self, requests: Sequence[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Returns the log-probability of each text, without an end token.

        Args:
            requests: with `args` (text,).
            disable_tqdm: unused.
        """
        scored = self._in_parts("loglikelihood_rolling", requests, lambda text: ([], text))
        return [log_prob for log_prob, _ in scored]

    def _encoded_pair(self, context, continuation):
        """(ids of the context, ids of the continuation, or the continuation without context)."""
        return self._encode_pair(context, continuation) if context else ([], continuation)

    def _in_parts(
        self, name: str, requests: Sequence[Instance], make_pair: Callable[..., tuple]
    ) -> list[tuple[float, bool]]:
        results = []
        for start in range(0, len(requests), _REQUESTS):
            part = requests[start : start + _REQUESTS]
            pairs = [make_pair(*request.args) for request in part]
            pairs = [
                (context, self.tok_encode(rest) if isinstance(rest, str) else rest)
                for context, rest in pairs
            ]
            found = self._loglikelihood_tokens([(None, *ids) for ids in pairs], label=name)
            for request, result in zip(part, found, strict=True):
                cached = result[0] if name == "loglikelihood_rolling" else result
                self.cache_hook.add_partial(name, request.args, cached)
            results += found
        return results

    def _loglikelihood_tokens(self, requests, label="loglikelihood", **unused):
        """[(log-probability, is greedy)] of (unused, ids of context, ids of continuation)."""
        ends = np.cumsum([len(context) + len(rest) for _, context, rest in requests])
        with Progress(label, int(ends[-1]) if len(ends) else 0) as progress:
            found = [(context, rest) for _, context, rest in requests]
            nats, are_best = nats_and_best(self.model.scorer, found, progress)
        return [
            (
                0.0 - float(np.sum(nats[end - len(rest) : end], dtype=np.float64)),
                bool(np.all(are_best[end - len(rest) : end])),
            )
            for end, (_, _, rest) in zip(ends.tolist(), requests, strict=True)
        ]

    def generate_until(
        self, requests: Sequence[Instance], disable_tqdm: bool = False
    ) -> list[str | None]:
        """Returns each context's continuation up to a stop string, the end token or a length.

        Args:
            requests: with `args` (context, settings): until, max_gen_toks, do_sample, temperature,
                top_k, top_p and seed. Greedy unless they say otherwise.
            disable_tqdm: unused.

        Raises:
            UsageError: an unknown setting.
        """
        results: list[str | None] = [None] * len(requests)
        groups: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault(json.dumps(request.args[1], sort_keys=True), []).append(number)
        for settings, numbers in groups.items():
            contexts = [requests[number].args[0] for number in numbers]
            texts = self.model.generate(contexts, **_generation_settings(json.loads(settings)))
            for number, (text,) in zip(numbers, texts, strict=True):
                results[number] = text
                self.cache_hook.add_partial("generate_until", requests[number].args, text)
        return results


def _generation_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Translates the harness's generation_kwargs into arguments of `Model.generate`."""
    settings = normalize_gen_kwargs(settings, _MAX_TOKENS)
    unknown = sorted(settings.keys() - _GENERATION)
    if unknown:
        raise UsageError(
            f"generation_kwargs has {', '.join(unknown)}: expected {', '.join(sorted(_GENERATION))}"
        )
    until = settings.get("until") or []
    return {
        "max_tokens": settings["max_gen_toks"],
        "temperature": settings["temperature"] if settings["do_sample"] else 0,
        "top_k": settings.get("top_k") if settings["do_sample"] else None,
        "top_p": settings.get("top_p") if settings["do_sample"] else None,
        "seed": settings.get("seed"),
        "stops": [stop for stop in ([until] if isinstance(until, str) else until) if stop],
    }
