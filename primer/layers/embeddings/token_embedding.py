"""The token embedding and the output of a language model, with the settings of the GPT family.

    x      = embedding_scale * E[id]                   [batch, length] -> [batch, length, d_model]
    logits = cap * tanh(logit_scale * h . E / cap)     [batch, length, d_model] -> [..., vocab]

E is the variable `embedding` `[vocab, d_model]`. Untied, the output has a matrix of its own,
`logits/kernel` `[d_model, vocab]`. With the default settings both are those of
Mesh-TensorFlow: no cap, and T5's factor 1 / sqrt(d_model) of the logits if tied, none if untied.
The cap and `embedding_scale = "sqrt"` are Gemma 2's (https://arxiv.org/abs/2408.00118).

The vocabulary is padded to a multiple of 128. The ids of the padding have probabilities like those
of other ids that never occur, unless `mask_vocabulary_padding` removes them from the softmax.
"""

from typing import Any

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common import build_mode, checks, graph_marks
from primer.common.sharding import layer_inputs, stored_weights
from primer.layers import position_encodings, scales
from primer.layers.embeddings import token_inputs

NAME = "TokenEmbedding"
# The logit of an id that only pads the vocabulary: its probability is 0 in float32 and bfloat16.
MASKED = -1e9


@gin.configurable
class TokenEmbedding(transformer.VocabEmbedding):
    """Mesh-TensorFlow's VocabEmbedding with scales, a soft cap, and an output of its own."""

    def __init__(
        self,
        mesh: mtf.Mesh,
        vocab_dim: mtf.Dimension,
        output_dim: mtf.Dimension,
        variable_dtype: mtf.VariableDType,
        name: str,
        ensemble_dim: mtf.Dimension | None,
        tied_embeddings: bool = True,
        embedding_scale: float | str = 1.0,
        logit_scale: float | str | None = None,
        logit_cap: float | None = None,
        mask_vocabulary_padding: bool = False,
        output_multiplier: float = 1.0,
        width_multiplier: float | None = None,
    ) -> None:
        """Makes the table of embeddings.

        Args:
            mesh, vocab_dim, output_dim, variable_dtype, name, ensemble_dim: as Mesh-TensorFlow's
                Unitransformer passes them.
            tied_embeddings: whether the output uses the table of the embedding.
            embedding_scale: the factor of the embeddings: a number, "sqrt" or "rsqrt" of d_model.
            logit_scale: the factor of the logits, in the same way; also of an untied output. None:
                "rsqrt" if tied, 1 if untied.
            logit_cap: the bound of the logits, approached smoothly; None for no bound.
            mask_vocabulary_padding: whether ids that only pad the vocabulary have probability 0.
            output_multiplier: a further factor of the logits.
            width_multiplier: m, by which the settings of a base width are carried over
                (`primer.parametrization.mup`): "sqrt" and "rsqrt" are of d_model / m, and the
                logits are divided by m. None: they are not.

        Raises:
            ValueError: a setting that this class does not support.
        """
        # A table that is split over d_model, as activations are, has all rows everywhere.
        self._logits_dim = vocab_dim
        self._whole_dim = layer_inputs.whole_dim(output_dim)
        vocab_dim = stored_weights.table_dim(vocab_dim, output_dim)
        super().__init__(mesh, vocab_dim, output_dim, variable_dtype, name, ensemble_dim)
        self._tied = checks.boolean(f"{NAME}.tied_embeddings", tied_embeddings, ValueError)
        m = width_multiplier or 1.0
        base_width = output_dim.size / m
        self._embedding_scale = scales.resolve(
            f"{NAME}.embedding_scale", embedding_scale, base_width
        )
        stock_scale = "rsqrt" if tied_embeddings else 1.0
        if logit_scale is None:
            logit_scale = stock_scale
        expected = "a number above 0"
        checks.positive_number(f"{NAME}.output_multiplier", output_multiplier, expected, ValueError)
        self._logit_scale = scales.resolve(f"{NAME}.logit_scale", logit_scale, base_width)
        self._logit_scale *= output_multiplier / m
        self._logit_cap = logit_cap
        self._mask_padding = checks.boolean(
            f"{NAME}.mask_vocabulary_padding", mask_vocabulary_padding, ValueError
        )
        if logit_cap is not None:
            expected = "a number above 0, or None for no cap"
            checks.positive_number(f"{NAME}.logit_cap", logit_cap, expected, ValueError)
        self._has_stock_scales = (
            (embedding_scale, logit_scale) == (1.0, stock_scale)
            and output_multiplier == 1.0
            and width_multiplier is None
        )
        if self._scale_variable_like_classifier_weights:
            self._follow_stock_scales()

    def _follow_stock_scales(self) -> None:
        """Takes the factors of `VocabEmbedding.scale_variable_like_classifier_weights`.

        The lookup of VocabEmbedding multiplies by sqrt(d_model), and its output by 1.
        """
        if not self._has_stock_scales:
            raise ValueError(
                "VocabEmbedding.scale_variable_like_classifier_weights = True sets the scales of "
                "embeddings and logits, and so do embedding_scale, logit_scale, output_multiplier "
                "and base_width; set it to False"
            )
        self._logit_scale = 1.0

    def ids_to_embedding(self, ids: mtf.Tensor, context: transformer.Context) -> mtf.Tensor:
        """Looks ids up: `[batch, length]` -> `[batch, length, d_model]`, also without length.

        Raises:
            ValueError: the model ignores a setting of the output, or has fewer positions than the
                text.
        """
        self._check_model(context.model)
        position_encodings.check_length(context)
        token_inputs.record(context, ids)
        graph_marks.set_residual_layers(len(context.model.layer_stack.layers))
        x = super().ids_to_embedding(ids, context)
        return x if self._embedding_scale == 1.0 else x * self._embedding_scale

    def hidden_to_logits(self, hidden: mtf.Tensor, context: transformer.Context) -> mtf.Tensor:
        """Returns logits: `[batch, length, d_model]` -> `[batch, length, vocab]`, in all modes."""
        # tanh(scale * h . E / cap): the division is that of the narrower tensor.
        scale = self._logit_scale / (self._logit_cap or 1.0)
        if scale != 1.0:
            hidden *= scale
        logits = self._product(hidden, context)  # [batch, length, vocab]
        if self._logit_cap is not None:
            logits = mtf.tanh(logits) * self._logit_cap
        if self._mask_padding:
            logits = _mask_padding(logits, self._logits_dim, context.model)
        return logits

    def _product(self, hidden, context):
        if self._tied and self._vocab_dim == self._logits_dim:
            return mtf.einsum([hidden, self._embedding_weights], reduced_dims=[self._output_dim])
        hidden = layer_inputs.to_whole(hidden)  # [batch, length, d_model_whole]
        model_dim = hidden.shape.dims[-1]
        if self._tied:
            return mtf.einsum([hidden, self._output_table()], reduced_dims=[model_dim])
        return mtf.layers.dense(
            hidden,
            reduced_dims=[model_dim],
            new_dims=[self._logits_dim],
            expert_dims=context.model.ensemble_dims,
            use_bias=False,
            variable_dtype=context.variable_dtype,
            name="logits",
        )

    def _output_table(self):
        """Returns the table as `[vocab, d_model_whole]`, by an all-to-all."""
        table = self._embedding_weights
        if build_mode.for_tpu() and table.dtype == tf.float32:
            # SimdMeshImpl rounds an all-to-all to bfloat16, and no gather.
            table = layer_inputs.to_whole(table)
        names = {self._vocab_dim: self._logits_dim, self._output_dim: self._whole_dim}
        return mtf.reshape(table, mtf.Shape([names.get(dim, dim) for dim in table.shape.dims]))

    def _check_model(self, model: Any) -> None:
        if model.output_vocab_dim is None:
            return
        if not model.shared_embedding_and_softmax_weights:
            # Unitransformer makes the logits itself, without a scale.
            own = {
                "logit_cap": self._logit_cap,
                "mask_vocabulary_padding": self._mask_padding,
                "logit_scale": not (self._has_stock_scales or self._logit_scale == 1.0),
            }
            ignored = [name for name, is_set in own.items() if is_set]
            if ignored:
                raise ValueError(
                    "Unitransformer.shared_embedding_and_softmax_weights = False: the output then "
                    f"ignores {', '.join(ignored)}; set tied_embeddings = False instead"
                )
        if self._mask_padding and model.label_smoothing:
            raise ValueError(
                f"mask_vocabulary_padding = True with Unitransformer.label_smoothing = "
                f"{model.label_smoothing}: smoothing makes targets of the ids without a "
                "probability; set one of them to False or 0"
            )


def _mask_padding(logits: mtf.Tensor, vocab_dim: mtf.Dimension, model: Any) -> mtf.Tensor:
    """Lowers the logits of the ids from the unpadded size of the vocabulary on."""
    ids = mtf.range(logits.mesh, vocab_dim, tf.int32)  # [vocab]
    is_padding = mtf.greater_equal(ids, model.output_vocab_size_unpadded)
    return logits + mtf.cast(is_padding, logits.dtype) * MASKED
