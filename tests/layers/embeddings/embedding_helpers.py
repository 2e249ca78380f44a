"""Models whose embedding is TokenEmbedding, with its settings bound as gin files do."""

import gin
import mesh_tensorflow as mtf
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
