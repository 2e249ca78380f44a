"""The token ids that the layers of a model see, for layers that look them up again.

`context.inputs` has them in training, evaluation and steps of decoding. In mode "first_part" it has
the prompt itself, one position ahead of what the layers see.
"""

from typing import NamedTuple

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

_KEY = "token_inputs"


class TokenInputs(NamedTuple):
    """What a model's embedding looked up.

    Attributes:
        ids: int32 `[batch, length]`, without length in incremental mode; in an ensemble with its
            dimension.
        scope: the variable scope of the model.
    """

    ids: mtf.Tensor
    scope: tf.VariableScope


def record(context: transformer.Context, ids: mtf.Tensor) -> None:
    """Keeps the ids that the embedding looks up, under the model's scope."""
    context.cache[_KEY] = TokenInputs(ids, tf.get_variable_scope())


def recorded(context: transformer.Context, setting: str) -> TokenInputs:
    """Returns what `record` kept.

    Args:
        context: the layer's context.
        setting: the setting that needs the ids, for the error.

    Raises:
        ValueError: the model's embedding is neither TokenEmbedding nor AdaptiveEmbedding.
    """
    if _KEY not in context.cache:
        raise ValueError(
            f"{setting} needs the ids of the tokens, which only TokenEmbedding and "
            "AdaptiveEmbedding give to the layers; set "
            "get_vocab_embedding_cls.cls = @TokenEmbedding"
        )
    return context.cache[_KEY]
