"""The architectures of Hugging Face's models compute what transformers computes, from its weights.

Logits, loss, gradients, greedy continuations and parameter counts of tiny models. Their sizes come
from the constructor's arguments in each file. PRIMER_PARITY_DIR names another folder with files of
the same names. golden/huggingface_other has models with settings that the published ones do not
have: other activations, biases, patterns and heads, layers in sequence instead of side by side, and
soft caps below the logits, where they matter.
"""

import ast
import dataclasses
import functools
import itertools

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.convert.huggingface import names, settings, weights
from primer.generation.step_graph import StepGraph
from tests import gin_models, slow
from tests.layers import helpers
from tests.layers.composition_checks import save
from tests.paths import GOLDEN, PARITY

FAMILIES = sorted(settings.OF_FAMILY)
OTHER = "huggingface_other"
# The files by their names below the folder, without ending.
FILES = [*FAMILIES, *(f"{OTHER}/{family}" for family in FAMILIES)]
# The default run has the published settings, and soft caps that matter.
QUICK = [*FAMILIES, f"{OTHER}/gemma2"]
ONE_ROW_EACH = ("Unitransformer.vocab_divisor = 1",)


@dataclasses.dataclass(frozen=True)
class Case:
    """A golden file, its model of gin files, and its weights under the names of both systems."""

    arrays: dict
    settings: settings.Settings
    weights: list

    def model(self, padded):
        """Builds the model, with or without rows of the vocabulary that hold no token."""
        bindings = (*self.settings.bindings, *(() if padded else ONE_ROW_EACH))
        return gin_models.build(self.settings.files, bindings, self.settings.vocabulary_size)

    def variables(self, model):
        state = helpers.by_prefix(self.arrays, "state/")
        return weights.converted(self.weights, state, model.output_vocab_dim.size)


@functools.cache
def case(file):
    folder, family = GOLDEN if file.startswith(OTHER) else PARITY, file.rpartition("/")[2]
    with np.load(folder / f"{file}.npz") as arrays:
        arrays = dict(arrays)
    found = settings.OF_FAMILY[family](ast.literal_eval(str(arrays["config"])))
    return Case(arrays, found, names.OF_FAMILY[family](found.slots))


def forward(model, variables, ids, gradients=True):
    """Runs all positions at once; the first token is at the first position, with nothing before it.

    Args:
        model: a Unitransformer.
        variables: a dict of the values of its variables.
        ids: token ids `[batch, length]`.
        gradients: whether to return those too.

    Returns:
        a dict: the logits `[batch, length, vocabulary]` of mode "eval", those of mode "train" as
        train_logits, the mean cross-entropy of the next token (loss), the model's own loss
        (model_loss), and the norms of the former's gradients (gradnorm/<variable>).
    """
    length = ids.shape[1]
    next_ids = np.concatenate([ids[:, 1:], np.zeros_like(ids[:, :1])], axis=1)
    counted = np.broadcast_to(np.arange(length) < length - 1, ids.shape).astype(np.float32)
    with helpers.bench(variables=variables) as b:
        inputs, targets = (b.put(x.astype(np.int32), "batch", "length") for x in (ids, next_ids))
        logits, model_loss = call(model, inputs, targets, "train")
        dim = logits.shape.dims[-1]
        losses = mtf.layers.softmax_cross_entropy_with_logits(
            logits, mtf.one_hot(targets, dim), dim
        )
        loss = mtf.reduce_sum(losses * b.put(counted, "batch", "length")) / counted.sum()
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            evaluated, _ = call(model, inputs, targets, "eval")
        outputs = {"logits": evaluated, "train_logits": logits, "loss": loss}
        outputs["model_loss"] = model_loss * (length / (length - 1))  # A mean over all positions.
        trainable = b.graph.trainable_variables if gradients else []
        for v, g in zip(trainable, mtf.gradients([loss], [v.value for v in trainable])):
            outputs["gradnorm/" + v.name] = mtf.sqrt(mtf.reduce_sum(mtf.square(g)))
        return b.run(outputs)


def call(model, inputs, targets, mode):
    return model.call_simple(
        inputs=inputs,
        targets=targets,
        compute_loss=True,
        mode=mode,
        variable_dtype=mtf.VariableDType(tf.float32, tf.float32, tf.float32),
    )


@functools.cache
def computed(file, padded):
    found = case(file)
    model = found.model(padded)
    return forward(model, found.variables(model), found.arrays["ids"])


def each(files):
    return pytest.mark.parametrize("file", slow.all_but(QUICK, files))


def is_quick(file_and_padded):
    """The default run has the rows that pad the vocabulary in one family."""
    file, padded = file_and_padded
    return file in QUICK and (not padded or file == QUICK[0])


@pytest.mark.parametrize(
    ("file", "padded"),
    slow.all_but(is_quick, itertools.product(FILES, [True, False]), name=str),
)
def test_logits(file, padded):
    expected = case(file).arrays["logits"]
    found = computed(file, padded)
    size = expected.shape[-1]
    for name in ("logits", "train_logits"):
        np.testing.assert_allclose(found[name][..., :size], expected, rtol=0, atol=1e-4)
        # What pads the vocabulary has no probability.
        assert (found[name][..., size:] < -1e8).all()


@each(FILES)
def test_loss_and_gradients(file):
    arrays, ids = case(file).arrays, case(file).arrays["ids"]
    found = computed(file, True)
    logits = arrays["logits"][:, :-1].astype(np.float64)
    log_z = np.log(np.exp(logits).sum(-1))
    loss = np.mean(log_z - np.take_along_axis(logits, ids[:, 1:, None], -1)[..., 0])
    np.testing.assert_allclose(found["loss"], arrays.get("loss", loss), rtol=1e-5)
    if ids[:, 1:].all():  # Our loss does not count the target 0.
        expected = loss + (1e-4 * np.mean(log_z**2) if file.endswith("gpt_neo") else 0)
        np.testing.assert_allclose(found["model_loss"], expected, rtol=1e-5)
    norms = helpers.by_prefix(arrays, "gradnorm/")
    ours = helpers.by_prefix(found, "gradnorm/")
    for weight in case(file).weights if norms else []:
        expected = norms.pop(weight.theirs)
        np.testing.assert_allclose(
            weight.norm(ours), expected, rtol=1e-3, atol=1e-7, err_msg=weight.theirs
        )
    assert not norms


@each(FILES)
def test_parameters(file):
    found = case(file)
    variables = found.variables(found.model(padded=False))
    count = sum(array.size for array in variables.values())
    state = helpers.by_prefix(found.arrays, "state/")
    tied = found.settings.slots["tied_embeddings"]
    stored = sum(v.size for k, v in state.items() if not (tied and k == "lm_head.weight"))
    assert count == found.arrays.get("parameters", stored)


@pytest.mark.parametrize("prompt", ["as prompt", "step by step"])
@each([file for file in FILES if file != "gpt2"])  # That file has none.
def test_greedy_continuation(file, prompt, tmp_path, monkeypatch):
    """The continuation of six tokens, which decoding reads as a prompt or one after the other."""
    found = case(file)
    expected = found.arrays["greedy_from_6"]
    # Hugging Face's prompt has no token before it: the inputs of the positions are the ids.
    monkeypatch.setattr(transformer, "autoregressive_inputs", lambda ids, sequence_id=None: ids)
    model = found.model(padded=True)
    graph = StepGraph(model, *expected.shape)
    graph.restore(save(found.variables(model), tmp_path / "model.ckpt-1"))
    read = 5 if prompt == "as prompt" else 0
    graph.read_prompts([list(row[:read]) for row in expected])
    ids = expected[:, :6].copy()
    for position in range(read, expected.shape[1] - 1):
        logits = graph.next_logits(ids[:, position], np.full([len(ids)], position))
        if position >= 5:
            ids = np.concatenate([ids, logits.argmax(-1)[:, None].astype(ids.dtype)], axis=1)
    graph.close()
    np.testing.assert_array_equal(ids, expected)


def test_every_family_has_its_golden_file():
    for folder in (PARITY, GOLDEN / OTHER):
        assert set(FAMILIES) <= {path.stem for path in folder.glob("*.npz")}
    assert len(FAMILIES) >= 6
