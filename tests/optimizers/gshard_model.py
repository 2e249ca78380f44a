"""Lingvo's dense GShard model (the template of 8, 128 and 1,100 billion parameters) in plain JAX.

It stands in float64 and is written from the formulas that Lingvo computes, not with our layers: an
oracle for gradients at any weights. The tests check it against Lingvo's own numbers first.

The golden file gshard_dense128.npz is of Lingvo 0.14.2 (https://github.com/tensorflow/lingvo,
DenseLmTemplate of lingvo/tasks/lm/params/synthetic_packed_input.py) on TensorFlow 2.21 in float32:
a tiny model with random weights, and four steps of each of its optimizers on one packed batch.
"""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np

from tests.paths import GOLDEN, PARITY

jax.config.update("jax_enable_x64", True)

NAME = "gshard_dense128.npz"
PATH = (GOLDEN / "gshard" if PARITY == GOLDEN else PARITY) / NAME
Z_LOSS = 1e-4
EPSILON = 1e-6


class Golden:
    """The golden file: settings, weights, batch and what Lingvo computed.

    Attributes:
        arrays: {key: array}.
        settings: {Lingvo's parameter: its value as text}.
        weights: {name: initial value}.
        batch: ids, labels, segment_ids and segment_pos `[batch, length]`.
    """

    def __init__(self):
        with np.load(PATH) as arrays:
            self.arrays = dict(arrays)
        self.settings = json.loads(str(self.arrays["config"]))["params"]
        self.weights = self.by_prefix("var/")
        names = ("ids", "labels", "segment_ids", "segment_pos")
        self.batch = {name: self.arrays[f"packed/{name}"] for name in names}

    def by_prefix(self, prefix):
        """Returns {rest of the key: array} of the keys that start with a prefix."""
        return {k.removeprefix(prefix): v for k, v in self.arrays.items() if k.startswith(prefix)}

    def number(self, setting):
        return int(self.settings[f"builder.{setting}"])


def logits_and_loss(weights, golden):
    """Returns the logits `[batch, length, vocabulary]` and the training loss at some weights."""
    batch = golden.batch
    table = weights["transformer/dec_emb/w/embedding/var"]
    is_token = (batch["segment_ids"] != 0)[..., None]
    x = table[batch["ids"]]  # [batch, length, width]
    layers = sorted(k.split("/")[2] for k in weights if k.endswith("/ln/w/scale/var"))
    for number, layer in enumerate(layers):
        prefix = f"transformer/decoder/{layer}"
        x = x * is_token
        normalized = norm(x, weights[f"{prefix}/ln/w/scale/var"])
        of_layer = {k.removeprefix(f"{prefix}/"): v for k, v in weights.items() if prefix in k}
        x = x + (
            feed_forward(normalized, of_layer)
            if number % 2
            else attention(normalized, of_layer, golden)
        )
    x = norm(x, weights["transformer/decoder/final_layer_norm/w/scale/var"]) * is_token
    logits = (x * table.shape[1] ** -0.5) @ table.T
    return logits, loss_of(logits, batch)


def loss_of(logits, batch):
    """Returns the loss over all positions, padding included in their number."""
    log_z = jax.nn.logsumexp(logits, -1)
    of_label = jnp.take_along_axis(logits, batch["labels"][..., None], -1)[..., 0]
    counted = (batch["segment_ids"] != 0) & (batch["labels"] > 0)
    return jnp.mean(counted * (log_z - of_label + Z_LOSS * log_z**2))


def norm(x, scale):
    return x * jax.lax.rsqrt(jnp.mean(x**2, -1, keepdims=True) + EPSILON) * scale


def feed_forward(x, weights):
    wi_0, wi_1, wo = (weights[f"dense_relu_dense/w/{n}/var"] for n in ("wi_0", "wi_1", "wo"))
    return (jax.nn.gelu(x @ wi_0, approximate=True) * (x @ wi_1)) @ wo


def attention(x, weights, golden):
    """Returns the output of self-attention within segments; a key of logit 0 has no value."""
    heads = golden.number("attention_num_heads")
    wq, wk, wv, wo = (weights[f"dec_self_attention/w/w{n}/var"] for n in "qkvo")
    q, k, v = (jnp.reshape(x @ w, (*x.shape[:2], heads, -1)) for w in (wq, wk, wv))
    logits = jnp.einsum("bqhd,bkhd->bhqk", q, k)
    logits += jnp.where(visible(golden.batch), 0.0, -1e9)[:, None]
    logits += relative_bias(weights["dec_self_attention/wrb/wrb/var"], x.shape[1], golden)
    extra = jnp.zeros_like(logits[..., :1]) + float(
        golden.settings["builder.attention_extra_logit"]
    )
    shares = jax.nn.softmax(jnp.concatenate([logits, extra], -1))[..., :-1]
    return jnp.einsum("bhqk,bkhd->bqhd", shares, v).reshape(*x.shape[:2], -1) @ wo


def visible(batch):
    """Returns which keys each query sees, `[batch, queries, keys]`."""
    segment, position = batch["segment_ids"], batch["segment_pos"]
    same = (segment[:, :, None] == segment[:, None, :]) & (segment != 0)[:, None, :]
    return same & (position[:, None, :] <= position[:, :, None])


def relative_bias(table, length, golden):
    """Returns the bias `[heads, queries, keys]` from a table `[heads, buckets]`."""
    exact = table.shape[1] // 2
    distance = np.maximum(np.arange(length)[:, None] - np.arange(length)[None], 0)
    farthest = golden.number("relative_attention_max_distance")
    far = np.log(np.maximum(distance, 1) / exact) / np.log(farthest / exact) * exact
    buckets = np.where(
        distance < exact, distance, np.minimum(exact + far.astype(int), 2 * exact - 1)
    )
    return table[:, buckets]


def gradients(weights, golden):
    """Returns the loss and {name: gradient} in float64."""
    weights = {name: jnp.asarray(value, jnp.float64) for name, value in weights.items()}
    return _compiled(golden)(weights)


@functools.cache
def _compiled(golden):
    return jax.jit(jax.value_and_grad(lambda weights: logits_and_loss(weights, golden)[1]))
