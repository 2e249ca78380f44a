"""What GPT-Neo's own code gets wrong, against numpy on the weights of its golden file."""

import numpy as np
import pytest
from scipy import special

from primer.convert.huggingface import settings
from tests import gin_models
from tests.layers import helpers, test_huggingface_parity

FOUND = test_huggingface_parity.case("gpt_neo")
ACTIVATIONS = {
    "gelu": lambda h: 0.5 * h * (1 + np.tanh((2 / np.pi) ** 0.5 * (h + 0.044715 * h**3))),
    "gelu_exact": lambda h: 0.5 * h * (1 + special.erf(h / 2**0.5)),
    "relu": lambda h: np.maximum(h, 0),
}
HEADS, WINDOW, EPSILON = (
    FOUND.settings.slots[name] for name in ("num_heads", "window", "norm_epsilon")
)
ROWS = FOUND.settings.vocabulary_size


def layer_norm(x, state, name):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + EPSILON)
    return x * state[f"{name}.weight"] + state[f"{name}.bias"]


def attention(x, state, name, window):
    """Causal attention to the last `window` positions, without a factor of the logits."""
    q, k, v = (x @ state[f"{name}.{n}_proj.weight"].T for n in "qkv")
    q, k, v = (t.reshape(*t.shape[:-1], HEADS, -1) for t in (q, k, v))
    logits = np.einsum("bqhd,bkhd->bhqk", q, k)
    distance = np.subtract.outer(np.arange(x.shape[1]), np.arange(x.shape[1]))
    logits = np.where((distance >= 0) & (distance < window), logits, -np.inf)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    o = np.einsum("bhqk,bkhd->bqhd", weights, v).reshape(x.shape[0], x.shape[1], -1)
    return o @ state[f"{name}.out_proj.weight"].T + state[f"{name}.out_proj.bias"]


def feed_forward(x, state, name):
    h = x @ state[f"{name}.c_fc.weight"].T + state[f"{name}.c_fc.bias"]
    h = ACTIVATIONS[FOUND.settings.activation](h)
    return h @ state[f"{name}.c_proj.weight"].T + state[f"{name}.c_proj.bias"]


def expected_logits(kinds, output):
    """The logits of the golden file's model with other kinds of layers and another output table."""
    state = helpers.by_prefix(FOUND.arrays, "state/transformer.")
    ids = FOUND.arrays["ids"]
    x = state["wte.weight"][ids] + state["wpe.weight"][: ids.shape[1]]
    for i, kind in enumerate(kinds):
        if kind != "none":
            window = WINDOW if kind == "local" else ids.shape[1]
            h = layer_norm(x, state, f"h.{i}.ln_1")
            x = x + attention(h, state, f"h.{i}.attn.attention", window)
        x = x + feed_forward(layer_norm(x, state, f"h.{i}.ln_2"), state, f"h.{i}.mlp")
    return layer_norm(x, state, "ln_f") @ output


def found_logits(kinds, variables, tied=True):
    slots = {"attention_kinds": kinds, "tied_embeddings": tied}
    changed = settings.Settings(
        FOUND.settings.architecture,
        FOUND.settings.activation,
        {**FOUND.settings.slots, **slots},
        ROWS,
    )
    bindings = (*changed.bindings, *test_huggingface_parity.ONE_ROW_EACH)
    model = gin_models.build(changed.files, bindings, ROWS)
    ids = FOUND.arrays["ids"]
    return test_huggingface_parity.forward(model, variables, ids, gradients=False)["logits"]


def variables():
    return FOUND.variables(FOUND.model(padded=False))


@pytest.mark.parametrize("place", [0, 1])
def test_a_layer_of_kind_none_is_left_out(place):
    """The other layers keep their names, and nothing is added in its place."""
    kinds = list(FOUND.settings.slots["attention_kinds"])
    kinds[place] = "none"
    left_out = f"/block_{place:03d}/layer_000/"
    kept = {name: value for name, value in variables().items() if left_out not in name}
    table = kept["transformer/embedding"].T
    np.testing.assert_allclose(
        found_logits(kinds, kept), expected_logits(kinds, table), rtol=0, atol=1e-4
    )


def test_an_untied_output_reads_the_final_norm():
    kinds = FOUND.settings.slots["attention_kinds"]
    own = variables()
    table = np.random.default_rng(0).standard_normal(own["transformer/embedding"].T.shape)
    own["transformer/logits/kernel"] = table.astype(np.float32)
    np.testing.assert_allclose(
        found_logits(kinds, own, tied=False), expected_logits(kinds, table), rtol=0, atol=1e-3
    )
