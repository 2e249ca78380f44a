"""architectures/transformer_xl.gin computes what Hugging Face's Transformer-XL computes.

Without memory (golden/transformer_xl_layer.py), with its weights under our names.
"""

import functools

import numpy as np
import pytest

from primer.convert.huggingface.weights import Weight, converted
from tests import gin_models
from tests.layers import helpers, transformer_xl_attention_weights
from tests.layers.test_huggingface_parity import forward
from tests.paths import GOLDEN

CASES = {"shared": False, "untied": True}


@functools.cache
def computed(case):
    """Returns the golden arrays, the names of the weights, and what our model computes."""
    with np.load(GOLDEN / "transformer_xl_layer.npz") as arrays:
        arrays = helpers.by_prefix(dict(arrays), f"{case}/")
    slots = {"num_layers": 2, "untie_relative_biases": CASES[case], "clamp_length": 5}
    bindings = [f"{name} = {value}" for name, value in slots.items()]
    model = gin_models.build(gin_models.files("transformer_xl", "relu"), bindings)
    table = Weight("transformer.word_emb.emb_layers.0.weight", ("transformer/embedding",))
    weights = [table, *transformer_xl_attention_weights.of_stack(slots)]
    state = helpers.by_prefix(arrays, "state/")
    variables = converted(weights, state, model.output_vocab_dim.size)
    return arrays, weights, forward(model, variables, arrays["ids"])


@pytest.mark.parametrize("case", CASES)
def test_log_probabilities(case):
    arrays, _, found = computed(case)
    for name in ("logits", "train_logits"):
        logits = found[name].astype(np.float64)
        log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        np.testing.assert_allclose(log_probs[..., :97], arrays["log_probs"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_gradients(case):
    arrays, weights, found = computed(case)
    np.testing.assert_allclose(found["loss"], arrays["loss"], rtol=1e-5)
    norms = helpers.by_prefix(arrays, "gradnorm/")
    for weight in weights:
        expected = norms.pop(weight.theirs)
        ours = weight.norm(helpers.by_prefix(found, "gradnorm/"))
        np.testing.assert_allclose(ours, expected, rtol=1e-3, err_msg=weight.theirs)
    assert not norms
