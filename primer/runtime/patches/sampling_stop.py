"""Mesh-TF 0.1.21: rows of a sampled batch contain tokens behind their end token.

The sampling loop runs until the last row has ended, and writes tokens to the rows that ended
earlier. With `stop_at_token = None` it fails where there are prompts, because it counts the end
tokens in them. The patch sets what follows a row's end token to padding, and samples to the full
length with None.
"""

import functools
from types import ModuleType

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.gin_config.values import bound

_NO_TOKEN = -1
_NAME = "Unitransformer.sample_autoregressive"


def patch(transformer: ModuleType) -> None:
    """Patches `sample_autoregressive` of `mesh_tensorflow.transformer.transformer`."""
    cls = transformer.Unitransformer
    stock = cls.sample_autoregressive

    @functools.wraps(stock)
    def sample_autoregressive(model, partial_sequences, **settings):
        def setting(name, default):
            return settings.get(name, bound(f"{_NAME}.{name}", default))

        stop = setting("stop_at_token", 1)
        if stop is None:
            settings["stop_at_token"] = _NO_TOKEN
            return stock(model, partial_sequences, **settings)
        ids = stock(model, partial_sequences, **settings)
        prompts = None if setting("remove_partial_sequences", False) else partial_sequences
        return cut(ids, stop, prompts)

    cls.sample_autoregressive = sample_autoregressive


def cut(ids: mtf.Tensor, stop: int, prompts: mtf.Tensor | None = None) -> mtf.Tensor:
    """Sets what follows a row's first sampled end token to 0.

    Args:
        ids: int32, `[..., length]`.
        stop: the id of the end token.
        prompts: the prompts that the ids begin with, same shape, 0 behind them: end tokens in them
            do not count. None if the ids do not contain the prompts.
    """
    length = ids.shape.dims[-1]
    ends = mtf.to_int32(mtf.equal(ids, stop))
    if prompts is not None:
        ends *= mtf.to_int32(mtf.equal(prompts, 0))
    ended = mtf.greater(mtf.cumsum(ends, length, exclusive=True), 0)
    return ids * mtf.cast(mtf.logical_not(ended), tf.int32)
