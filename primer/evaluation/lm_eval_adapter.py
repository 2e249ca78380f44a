"""A trained model for EleutherAI's lm-evaluation-harness, with its three kinds of requests.

https://github.com/EleutherAI/lm-evaluation-harness

    import lm_eval
    import primer.evaluation.lm_eval_adapter as adapter
    lm_eval.simple_evaluate(model=adapter.PrimerLM("runs/primer"), tasks=["lambada_openai"])

The extra `lm-eval` installs it; it needs neither torch nor transformers for this. Requests are
packed into rows, in which they do not see each other.

A model of Primer reads its own start symbol before the first token, as in training. It takes the
part of the harness's prefix token, in front of each window. So a text that fits into the model's
length has no end token, no prefix and one window. A longer one is read in the windows of the
harness's `get_rolling_token_windows` with a context of one token: none but the first token of the
text is without context, and the last window is full.
"""

import itertools
import json

import numpy as np

try:
    from lm_eval.api.model import TemplateLM
    from lm_eval.models.utils import normalize_gen_kwargs
except ImportError as error:
    raise ImportError(
        "primer.evaluation.lm_eval_adapter needs the harness: pip install 'primer[lm-eval]'"
    ) from error

import primer
from primer.common import tf_data
from primer.errors import UsageError
from primer.evaluation import windows
from primer.evaluation.progress import Progress

_REQUESTS = 4096  # At a time; with `use_cache` what these gave is kept when the next are stopped.
_MOST_TOKENS = 256  # Of a text, where a task does not say; as the harness's own models have it.
_GENERATION = {"until", "max_gen_toks", "do_sample", "temperature", "top_k", "top_p", "seed"}


class PrimerLM(TemplateLM):
    """A checkpoint as the harness asks for it.

    Args:
        model: a directory that was trained in, or what `primer.load` returned.
        checkpoint, batch_size: as of `primer.load`, for a directory.

    Raises:
        UsageError, RunError: as `primer.load`.
    """

    def __init__(self, model, checkpoint="latest", batch_size=None):
        super().__init__()
        if isinstance(model, str):
            model = primer.load(model, checkpoint, batch_size)
        self.model = model
        self._encode = tf_data.TextFunction(lambda texts: [model.vocabulary.encode_tf(texts[0])])

    @property
    def eot_token_id(self) -> int:
        """The end token of the vocabulary."""
        return self.model.vocabulary.eos_id

    @property
    def max_length(self) -> int:
        """Tokens of the model's window."""
        return self.model.length

    def get_model_info(self) -> dict:
        """What the harness writes beside its results."""
        return {"model_dir": self.model.model_dir, "step": self.model.step}

    def tok_encode(self, string, add_special_tokens=None, **unused) -> list:
        """The ids of a string, as training would have them; the model has no special tokens."""
        return self._encode([string.encode()])[0].tolist() if string else []

    def loglikelihood(self, requests, disable_tqdm=False) -> list:
        """The log-probability of each continuation, and whether greedy decoding would write it.

        Args:
            requests: with `args` (context, continuation); they are tokenized together, as the
                harness does. A context is cut at its beginning where the two do not fit.

        Returns:
            [(log-probability, is greedy)].
        """
        return self._in_parts("loglikelihood", requests, self._pair)

    def loglikelihood_rolling(self, requests, disable_tqdm=False) -> list:
        """The log-probability of each text, without an end token.

        Args:
            requests: with `args` (text,).
        """
        scored = self._in_parts("loglikelihood_rolling", requests, lambda text: ([], text))
        return [log_prob for log_prob, _ in scored]

    def _pair(self, context, continuation):
        """Ids of the context and of the continuation."""
        return self._encode_pair(context, continuation) if context else ([], continuation)

    def _in_parts(self, name, requests, pair):
        results = []
        for start in range(0, len(requests), _REQUESTS):
            part = requests[start : start + _REQUESTS]
            pairs = [pair(*request.args) for request in part]
            pairs = [
                (context, self.tok_encode(rest) if isinstance(rest, str) else rest)
                for context, rest in pairs
            ]
            found = self._loglikelihood_tokens([(None, *ids) for ids in pairs], label=name)
            for request, result in zip(part, found, strict=True):
                kept = result[0] if name == "loglikelihood_rolling" else result
                self.cache_hook.add_partial(name, request.args, kept)
            results += found
        return results

    def _loglikelihood_tokens(self, requests, label="loglikelihood", **unused) -> list:
        """[(log-probability, is greedy)] of (unused, context's ids, continuation's ids)."""
        joined = _Joined([ids for _, *ids in requests], self.model.length)
        with Progress(label, len(joined.ids)) as progress:
            nats, are_best = joined.scored(self.model.scorer, progress)
        ends = np.cumsum([len(context) + len(rest) for _, context, rest in requests])
        return [
            (
                0.0 - float(np.sum(nats[end - len(rest) : end], dtype=np.float64)),
                bool(np.all(are_best[end - len(rest) : end])),
            )
            for end, (_, _, rest) in zip(ends.tolist(), requests, strict=True)
        ]

    def generate_until(self, requests, disable_tqdm=False) -> list:
        """The continuation of each context, up to a stop string, the end token or a length.

        Args:
            requests: with `args` (context, settings): until, max_gen_toks, do_sample, temperature,
                top_k, top_p and seed. Greedy unless they say otherwise.

        Raises:
            UsageError: a setting that there is not.
        """
        results = [None] * len(requests)
        groups = {}
        for number, request in enumerate(requests):
            groups.setdefault(json.dumps(request.args[1], sort_keys=True), []).append(number)
        for settings, numbers in groups.items():
            contexts = [requests[number].args[0] for number in numbers]
            texts = self.model.generate(contexts, **_generation(json.loads(settings)))
            for number, (text,) in zip(numbers, texts, strict=True):
                results[number] = text
                self.cache_hook.add_partial("generate_until", requests[number].args, text)
        return results


def _generation(asked) -> dict:
    """The settings of the harness as those of `Model.generate`."""
    asked = normalize_gen_kwargs(asked, _MOST_TOKENS)
    unknown = sorted(asked.keys() - _GENERATION)
    if unknown:
        raise UsageError(
            f"generation_kwargs has {', '.join(unknown)}: expected {', '.join(sorted(_GENERATION))}"
        )
    until = asked.get("until") or []
    return {
        "max_tokens": asked["max_gen_toks"],
        "temperature": asked["temperature"] if asked["do_sample"] else 0,
        "top_k": asked.get("top_k") if asked["do_sample"] else None,
        "top_p": asked.get("top_p") if asked["do_sample"] else None,
        "seed": asked.get("seed"),
        "stops": [stop for stop in ([until] if isinstance(until, str) else until) if stop],
    }


class _Joined:
    """Pairs of ids one after the other, and the windows in which their second parts are scored."""

    def __init__(self, pairs, length):
        self.ids = np.array([i for pair in pairs for ids in pair for i in ids], np.int32)
        begins = itertools.accumulate((len(a) + len(b) for a, b in pairs), initial=0)
        pieces = [
            (begin + start, end - start, counted - start)
            for begin, (context, rest) in zip(begins, pairs, strict=False)
            for start, counted, end in rolling(len(context), len(context) + len(rest), length)
        ]
        columns = np.array(pieces, np.int64).reshape(-1, 3).T
        self._windows = windows.packed_pieces(length, *columns)

    def scored(self, scorer, progress):
        """(-log p, is the first choice) of each token, [tokens]; 0 where it is context alone."""
        nats = np.zeros(len(self.ids), np.float32)
        are_best = np.zeros(len(self.ids), bool)
        cut = self._windows
        for first in range(0, cut.number, scorer.rows):
            end = min(first + scorer.rows, cut.number)
            found = scorer.nats_and_best(*cut.filled(self.ids, first, end))
            tokens, places = cut.counted(first, end)
            nats[tokens], are_best[tokens] = (values.reshape(-1)[places] for values in found)
            progress(end / cut.number)
        return nats, are_best


def rolling(first, number, length):
    """The windows in which the tokens from `first` to `number` are scored, each once.

    Args:
        first: how many tokens at the front are context alone.
        number: how many there are in all.
        length: tokens of a window.

    Yields:
        (start, counted, end): a window has the tokens from `start` to `end`, and counts those from
        `counted` on. All windows but the text's first have at least one token of context, and as
        many as fit.
    """
    counted = first
    while counted < number:
        end = min(number, counted + length - (counted > 0))
        yield max(end - length, 0), counted, end
        counted = end
