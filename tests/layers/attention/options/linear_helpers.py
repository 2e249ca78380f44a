"""An attention layer of linear attention alone, and its oracle."""

import numpy as np
from mesh_tensorflow.transformer import transformer_layers

from primer.layers.attention import kv_cache
from primer.layers.attention.options import linear

SETTINGS = [{}, {"num_memory_heads": 2}, {"num_memory_heads": 1}, {"shared_kv": True}]


class Layer(transformer_layers.SelfAttention):
    """Linear attention between the projections of SelfAttention."""

    def __init__(self, chunk_length=None, **kwargs):
        super().__init__(num_heads=4, key_value_size=8, **kwargs)
        self.chunk_length = chunk_length

    def call(self, context, x, losses=None):
        params = self.make_params(context)
        keys_values = kv_cache.project_keys_values(params, x)
        o = linear.attend(self, context, params.compute_q(x), keys_values, self.chunk_length)
        return params.compute_output(o, output_shape=x.shape)


def output(values, x, ids=None):
    """The equation with a `[length, length]` matrix of weights, in float64.

    Args:
        values: the variables of a Layer with any heads.
        x: `[batch, length, d_model]`.
        ids: segments `[batch, length]`.
    """
    values = {name: value.astype(np.float64) for name, value in values.items()}
    batch, length, _ = x.shape

    def heads(name):
        projection = (x @ values[name]).reshape(batch, length, -1, 8)
        return np.repeat(projection, 4 // projection.shape[2], 2)  # [batch, length, 4, d_kv]

    q, (k, v) = heads("q"), map(heads, ("kv", "kv") if "kv" in values else ("k", "v"))
    ids = np.ones([batch, length]) if ids is None else np.asarray(ids)
    seen = np.tril(ids[:, :, None] == ids[:, None, :])[:, None]  # [batch, 1, length, length]
    q = np.exp(q - q.max(-1, keepdims=True))
    q /= q.sum(-1, keepdims=True)
    weights = seen * np.einsum("blhd,bmhd->bhlm", q, np.exp(k))
    o = np.einsum("bhlm,bmhd->blhd", weights / weights.sum(-1, keepdims=True), v)
    return o.reshape(batch, length, -1) @ values["o"]
