"""Mesh-TF's sampling loop, with an end of its own for every row.

The loop runs until the last row has ended, and rows that ended before go on writing: whoever reads
the ids has to cut them. And asked never to stop (`stop_at_token = None`) it fails where there are
prompts, whose own end tokens it wants to count.
"""

import functools

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.gin_config.values import bound

_NO_TOKEN = -1
_NAME = "Unitransformer.sample_autoregressive"


def patch(transformer):
    """Mends `Unitransformer.sample_autoregressive` after the import of its module."""
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


def cut(ids, stop, prompts=None):
    """Sets what follows a row's first new end token to 0.

    Args:
        ids: int32 Tensor `[..., length]`.
        stop: the id of the end token.
        prompts: the given beginnings, same shape, 0 behind them: end tokens in them end nothing.
            None if the ids have no prompts in them.
    """
    length = ids.shape.dims[-1]
    ends = mtf.to_int32(mtf.equal(ids, stop))
    if prompts is not None:
        ends *= mtf.to_int32(mtf.equal(prompts, 0))
    ended = mtf.greater(mtf.cumsum(ends, length, exclusive=True), 0)
    return ids * mtf.cast(mtf.logical_not(ended), tf.int32)
