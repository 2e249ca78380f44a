"""A trained model in Python, for notebooks and scripts.

`primer.load(model_dir).score(texts)`, `.token_scores(texts)` and `.generate(prompts)`.
"""

import contextlib
import dataclasses

import gin
import numpy as np
from mesh_tensorflow.transformer import utils

from primer.checkpoints import (
    checkpoint_files,
    model_directory,
    saved_config,
    selection,
    vocabulary_copy,
)
from primer.data import preflight, whole_documents
from primer.errors import UsageError
from primer.evaluation import evaluate, protocols, tokenized_split, totals
from primer.evaluation.scorer import Scorer
from primer.evaluation.scores.token_pieces import Pieces
from primer.generation.generator import Writer
from primer.generation.request import Request
from primer.generation.sampling import Sampling
from primer.gin_config import isolation
from primer.gin_config.values import bound, configured
from primer.runtime import mesh


@dataclasses.dataclass(frozen=True)
class TokenScores:
    """The tokens of one text.

    Attributes:
        ids: [tokens] int32; the last is the end token.
        pieces: the string that each id stands for, a list.
        log_probs: the natural logarithm of each token's probability, [tokens] float32.
    """

    ids: np.ndarray
    pieces: list
    log_probs: np.ndarray


class Model:
    """A checkpoint of a model directory.

    The model is rebuilt from the directory's own `config.gin`. gin's configuration in this process
    is left as it was; several models may be open.

    Args:
        model_dir: a directory that `primer train` or `t5_mesh_transformer` trained in.
        checkpoint: "latest", "best" (with --eval_every), or a step.
        batch_size: windows at a time, or None for about 2,048 tokens.

    Raises:
        UsageError: no such directory or checkpoint, or one of another model.
        RunError: the checkpoint is damaged.

    Attributes:
        model_dir, step, length (tokens per window), vocabulary (a seqio vocabulary), scorer (a
        `primer.evaluation.scorer.Scorer` with the checkpoint's weights).
    """

    def __init__(self, model_dir, checkpoint="latest", batch_size=None):
        self.model_dir = str(model_dir)
        config = saved_config.config_file(self.model_dir)
        path = selection.select_checkpoint(self.model_dir, checkpoint)
        self.step = checkpoint_files.step_of(path)
        self._config = config
        with self._settings():
            self.vocabulary, self.scorer, self._writer = self._build(batch_size, path)
        self.length = self.scorer.length
        self._pieces = Pieces(self.vocabulary)
        self.scorer.restore(path)

    @contextlib.contextmanager
    def _settings(self):
        """gin's configuration is the directory's inside the block."""
        with isolation.isolated():
            # As the engine's --module_import does: it registers all that the settings may name.
            gin.parse_config("import t5_imports")
            gin.parse_config_file(self._config)
            with vocabulary_copy.use_copy(self.model_dir, _own_vocabulary()):
                yield

    def _build(self, batch_size, path):
        """The task's vocabulary, a scorer and a writer, from gin."""
        own = _own_vocabulary()
        # What gin chooses now; after the block it is another's choice.
        vocabulary = own.resolve() if hasattr(own, "resolve") else own
        mesh_shape, layout_rules, devices = _mesh()
        model = utils.build_model(
            model_type=configured("utils.run.model_type", "lm"),
            input_vocab_size=vocabulary.vocab_size,
            output_vocab_size=vocabulary.vocab_size,
            layout_rules=layout_rules,
            mesh_shape=mesh_shape,
        )
        model_directory.check_model(self.model_dir, model, own)
        length = configured("utils.run.sequence_length", {"targets": 512})["targets"]
        where = (mesh_shape, layout_rules, devices)
        scorer = Scorer(model, length, batch_size, *where)
        self._are_lines = whole_documents.are_lines(evaluate.task_name())
        return vocabulary, scorer, Writer(model, vocabulary, length, path, *where)

    def score(self, texts) -> list:
        """The loss of each text, alone.

        A text gets its end token, and is cut into windows of `length` tokens; a window does not
        see the one before it. That is the protocol `packed`, whatever the directory's settings are:
        the texts are not one stream.

        Args:
            texts: strings; of a model of lines (LM1B, WikiText, PTB) a line each.

        Returns:
            A list of `Totals`, one per text: nats, tokens, bytes, characters and words, and from
                them
            nats_per_token, perplexity_per_token, bits_per_byte, bits_per_character,
            perplexity_per_word.
        """
        joined, nats = self._nats("score", texts)
        return totals.per_document(nats, joined)

    def token_scores(self, texts) -> list:
        """The log-probability of each token of each text, alone, as `score` adds them up.

        Args:
            texts: strings, as for `score`.

        Returns:
            A list of `TokenScores`, one per text: ids, pieces and log_probs of its tokens, the last
            of which is the end token.
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
        """The texts as one `text.Text`, and -log p of its tokens."""
        if isinstance(texts, str):
            raise UsageError(f"{caller}(texts): expected a list of strings, got one string")
        texts = list(texts)
        other = [type(one).__name__ for one in texts if not isinstance(one, str)]
        if other:
            raise UsageError(f"{caller}(texts): expected a list of strings, got {other[0]}")
        ids = whole_documents.encode(self.vocabulary, texts)
        documents = zip(texts, ids, strict=True)
        joined = tokenized_split.of_documents(documents, self.vocabulary.eos_id, self._are_lines)
        return joined, protocols.Protocol("packed").token_nats(self.scorer, joined)

    def generate(
        self,
        prompts,
        num_samples=1,
        max_tokens=128,
        temperature=1.0,
        top_k=None,
        top_p=None,
        seed=None,
        stops=(),
    ) -> list:
        """Continues each prompt.

        Args:
            prompts: strings; "" begins a document.
            num_samples, max_tokens, temperature, top_k, top_p, seed, stops: as `primer generate`
                has them.

        Returns:
            For each prompt a list of `num_samples` strings, without the prompt.
        """
        if isinstance(prompts, str):
            raise UsageError("generate(prompts): expected a list of strings, got one string")
        asked = Request(
            prompts=tuple(prompts),
            num_samples=num_samples,
            max_tokens=max_tokens,
            sampling=Sampling(temperature, top_k, top_p),
            stops=tuple(stops),
            **({} if seed is None else {"seed": seed}),
        )
        written = [[""] * num_samples for _ in asked.prompts]
        with self._settings():
            for prompt, sample, _, piece in self._writer.write(asked):
                written[prompt][sample] += piece
        return written

    def close(self):
        """Frees the sessions; the model cannot be used any more."""
        self.scorer.close()
        self._writer.close()


def _own_vocabulary():
    """The vocabulary of the task that gin names."""
    return preflight.find_task(evaluate.task_name()).output_features["targets"].vocabulary


def _mesh():
    """Mesh shape, layout and devices of the run; a TPU's mesh is not asked for here."""
    if getattr(bound("utils.run.mesh_shape"), "selector", "").endswith("tpu_mesh_shape"):
        return mesh.mesh_shape(), configured("utils.run.layout_rules", ""), mesh.mesh_devices()
    names = ("mesh_shape", "layout_rules", "mesh_devices")
    shape, layout, devices = (configured(f"utils.run.{name}") for name in names)
    return shape or "", layout or "", devices
