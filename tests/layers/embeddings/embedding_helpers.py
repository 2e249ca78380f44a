"""Models whose embedding is TokenEmbedding, with its settings bound as gin files do."""

import gin
import mesh_tensorflow as mtf
import numpy as np
from mesh_tensorflow.transformer import transformer

from tests.layers import helpers


def bind(*bindings):
    """Selects TokenEmbedding, and binds its parameters: `name = value`."""
    gin.parse_config("get_vocab_embedding_cls.cls = @TokenEmbedding")
    gin.parse_config([f"TokenEmbedding.{binding}" for binding in bindings])


def without_layers(**settings):
    """Returns a model whose logits are those of its embeddings and positions alone."""
    size = helpers.TINY
    defaults = {
        "d_model": size["d_model"],
        "input_vocab_size": size["vocab_size"],
        "output_vocab_size": size["vocab_size"],
        "autoregressive": True,
        "max_length": 24,
        "shared_embedding_and_softmax_weights": True,
        "positional_embedding": False,
    }
    stack = transformer.LayerStack(
        [], sublayers_initial=[], sublayers_per_layer=[], sublayers_final=[]
    )
    return transformer.Unitransformer(stack, **{**defaults, **settings})


def gradients(model, variables, targets, mesh_shape="", layout=""):
    """Returns the gradient of the training loss by each variable."""
    with helpers.bench(mesh_shape, layout, variables) as b:
        ids = b.put(targets, "batch", "length")
        _, loss = model.call_simple(
            inputs=transformer.autoregressive_inputs(ids),
            targets=ids,
            compute_loss=True,
            mode="train",
        )
        weights = b.graph.trainable_variables
        found = mtf.gradients([loss], [weight.value for weight in weights])
        return b.run({w.name: g for w, g in zip(weights, found, strict=True)})


def check_packing(model, variables, targets, ids):
    """Checks that the texts of packed rows have the logits of their own rows.

    Args:
        model: a Unitransformer.
        variables: values of its variables.
        targets: token ids `[batch, length]`.
        ids: the segment of each token, 1 or 2, with the shape of targets.
    """
    packed = helpers.call(model, variables, targets, sequence_id=ids)["logits"]
    rows = np.zeros([2, *targets.shape], targets.dtype)
    lengths = [(ids == number).sum(1) for number in (1, 2)]
    for row, start in enumerate(lengths[0]):
        rows[0, row, :start] = targets[row, :start]
        rows[1, row, : lengths[1][row]] = targets[row, start:]
    alone = helpers.call(model, variables, rows.reshape(-1, targets.shape[1]))["logits"]
    first, second = alone.reshape(2, *packed.shape)
    for row, start in enumerate(lengths[0]):
        expected = np.concatenate([first[row, :start], second[row, : lengths[1][row]]])
        np.testing.assert_allclose(packed[row], expected, rtol=0, atol=1e-4)
