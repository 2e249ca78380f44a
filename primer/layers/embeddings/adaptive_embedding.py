"""Embedding and softmax over clusters of words: rare words have narrow vectors and cost little.

Adaptive softmax (https://arxiv.org/abs/1609.04309), adaptive input
(https://arxiv.org/abs/1809.10853), as in Transformer-XL (https://arxiv.org/abs/1901.02860). Of word
w of cluster c, counted from 0, with the table E_c `[vocab, d_c]`, d_c = d_embed // div_val**c:

    x            = embedding_scale * P_c E_c[w]              [batch, length, d_model]
    h_c          = logit_scale * Q_c h                       [batch, length, d_c]
    head         = softmax over the words of cluster 0 (F_0 h_0 + b_0) and the others' K h_0 + k
    log p(w)     = log head(w)                               of cluster 0
    log p(w)     = log head(c) + log softmax(F_c h_c + b_c)[w]      of the others

Variables, of cluster c: `embedding_<c>` (E_c), `embedding_projection_<c>` `[d_embed, d_model]`
(P_c); `logits/bias_<c>` (b_c), `logits/cluster_kernel` (K) and `logits/cluster_bias` (k). F_c is
E_c if embeddings are tied, else `logits/kernel_<c>` `[d_c, vocab]`; Q_c is P_c transposed if tied,
else `logits/projection_<c>` `[d_model, d_c]`. As in the original there are no projections where
they would be between equal widths in all clusters: div_val = 1 and d_embed = d_model. With
div_val = 1 and another d_embed the embedding has one projection for all clusters, and the output
one for each; with div_val > 1 the first cluster has one too, whatever d_embed is. Without cutoffs
there is one cluster, and names end without a number.

The logits are log-probabilities of the padded vocabulary, in float32: softmax, cross entropy,
sampling and scores are those of any other embedding. In training the loss does not need them
(`cluster_logits`).
"""

from collections.abc import Sequence
from typing import Any

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common import build_mode, checks, graph_marks
from primer.common.sharding import layer_inputs
from primer.layers import position_encodings, scales
from primer.layers.embeddings import cluster_output, clusters, token_inputs

NAME = clusters.NAME


@gin.configurable
class AdaptiveEmbedding:
    """A vocabulary embedding whose logits are the log-probabilities of an adaptive softmax."""

    def __init__(
        self,
        mesh: mtf.Mesh,
        vocab_dim: mtf.Dimension,
        output_dim: mtf.Dimension,
        variable_dtype: mtf.VariableDType,
        name: str,
        ensemble_dim: mtf.Dimension | None,
        cutoffs: Sequence[int] = (),
        div_val: int = 1,
        d_embed: int | None = None,
        tied_embeddings: bool = True,
        tied_projections: bool | Sequence[bool] = True,
        embedding_scale: float | str = 1.0,
        logit_scale: float | str | None = None,
        output_multiplier: float = 1.0,
        logit_cap: None = None,
        width_multiplier: None = None,
    ) -> None:
        """Makes the tables and projections of the embedding.

        Args:
            mesh, vocab_dim, output_dim, variable_dtype, name, ensemble_dim: as Mesh-TensorFlow's
                Unitransformer passes them.
            cutoffs: the first id of each cluster but the first; ids are sorted by frequency.
            div_val: the factor by which each cluster's vectors are narrower than the last one's.
            d_embed: the width of the first cluster's vectors; None: d_model.
            tied_embeddings: whether the output uses the tables of the embedding.
            tied_projections: whether the output uses its projections, for all clusters or each.
            embedding_scale: the factor of the embeddings: a number, "sqrt" or "rsqrt" of d_model.
            logit_scale: the factor of h, and so of the logits without their biases, in the same
                way. None: "rsqrt" if tied, 1 if untied.
            output_multiplier: a further factor of h.
            logit_cap, width_multiplier: None; other values are not supported.

        Raises:
            ValueError: a setting that this class does not support.
        """
        _check_none("logit_cap", logit_cap, "log-probabilities are not capped")
        _check_none("width_multiplier", width_multiplier, "the rules of base_width do not cover it")
        checks.boolean(f"{NAME}.tied_embeddings", tied_embeddings, ValueError)
        d_embed = output_dim.size if d_embed is None else d_embed
        # The tables' rows and activations may be split over one axis: both widths are whole here.
        output_dim = layer_inputs.whole_dim(output_dim)
        self._clusters = clusters.make(cutoffs, vocab_dim, d_embed, div_val)
        self._cutoffs, self._vocab_dim, self._output_dim = cutoffs, vocab_dim, output_dim
        self._embedding_scale = scales.resolve(
            f"{NAME}.embedding_scale", embedding_scale, output_dim.size
        )
        if logit_scale is None:
            logit_scale = "rsqrt" if tied_embeddings else 1.0
        expected = "a number above 0"
        checks.positive_number(f"{NAME}.output_multiplier", output_multiplier, expected, ValueError)
        scale = scales.resolve(f"{NAME}.logit_scale", logit_scale, output_dim.size)
        self._logit_scale = scale * output_multiplier

        setting = f"{NAME}.tied_projections"
        ties = clusters.flags(setting, tied_projections, len(self._clusters))
        is_projected = div_val > 1 or d_embed != output_dim.size
        widths = [self._width(each, is_projected) for each in self._clusters]
        make = (mesh, variable_dtype, name, ensemble_dim)
        self._tables = [
            _table(*make, each, width) for each, width in zip(self._clusters, widths, strict=True)
        ]
        self._projections = self._make_projections(make, widths, is_projected, div_val)
        self._output = cluster_output.Output(
            self._clusters,
            widths,
            tables=[table._embedding_weights for table in self._tables]
            if tied_embeddings
            else None,
            projections=[
                projection if is_tied else None
                for projection, is_tied in zip(self._projections, ties, strict=True)
            ],
            is_projected=is_projected,
            vocab_dim=vocab_dim,
        )

    def _width(self, cluster, is_projected):
        return mtf.Dimension("d_embed", cluster.width) if is_projected else self._output_dim

    def _make_projections(self, make, widths, is_projected, div_val):
        """Returns the projection `[d_embed, d_model]` of each cluster, or None."""
        if not is_projected:
            return [None] * len(widths)
        if div_val == 1:
            return [_projection(*make, "", widths[0], self._output_dim)] * len(widths)
        return [
            _projection(*make, each.suffix, width, self._output_dim)
            for each, width in zip(self._clusters, widths, strict=True)
        ]

    def ids_to_embedding(self, ids: mtf.Tensor, context: transformer.Context) -> mtf.Tensor:
        """Looks ids up: `[batch, length]` -> `[batch, length, d_model]`, also without length.

        Raises:
            ValueError: cutoffs are beyond the vocabulary, a setting of the model does not go with
                log-probabilities, or it has fewer positions than the text.
        """
        _check_model(context.model)
        clusters.check_cutoffs(self._cutoffs, context.model.input_vocab_size_unpadded)
        position_encodings.check_length(context)
        token_inputs.record(context, ids)
        graph_marks.set_residual_layers(len(context.model.layer_stack.layers))
        x = sum(
            _project(table.ids_to_embedding(cluster_output.own_ids(each, ids), context), projection)
            for each, table, projection in zip(
                self._clusters, self._tables, self._projections, strict=True
            )
        )
        x = layer_inputs.to_split(x)
        return x if self._embedding_scale == 1.0 else x * self._embedding_scale

    def hidden_to_logits(self, hidden: mtf.Tensor, context: transformer.Context) -> mtf.Tensor:
        """Returns log-probabilities: `[batch, length, d_model]` -> float32 `[..., vocab]`."""
        if self._logit_scale != 1.0:
            hidden *= self._logit_scale
        size = context.model.output_vocab_size_unpadded
        inputs = self._output.inputs(layer_inputs.to_whole(hidden), context)
        has_losses = context.train and not (build_mode.for_xla() or context.model.ensemble_dims)
        logits = self._output.log_probabilities(inputs, size, is_used=not has_losses)
        if has_losses:
            graph_marks.set_token_losses(
                logits, lambda targets: self._output.losses(inputs, targets, size)
            )
        return logits


def _table(mesh, variable_dtype, name, ensemble_dim, cluster, width):
    table = transformer.VocabEmbedding(
        mesh,
        cluster.rows,
        width,
        variable_dtype,
        name + cluster.suffix,
        ensemble_dim,
        scale_variable_like_classifier_weights=False,
    )
    cluster_output.mark_padding(table._embedding_weights, cluster)
    return table


def _projection(mesh, variable_dtype, name, ensemble_dim, suffix, width, output_dim):
    return mtf.layers.embedding_weights(
        mesh,
        width,
        output_dim,
        variable_dtype,
        f"{name}_projection{suffix}",
        ensemble_dim,
        tf.random_normal_initializer(stddev=width.size**-0.5),
    )


def _project(x, projection):
    if projection is None:
        return x
    width = next(dim for dim in projection.shape.dims if dim.name == "d_embed")
    return mtf.einsum([x, projection], reduced_dims=[width])


def _check_none(setting, value, reason):
    if value is not None:
        raise ValueError(f"{NAME}.{setting} = {value!r}: expected None, because {reason}")


def _check_model(model: Any) -> None:
    if model.output_vocab_dim is None:
        return
    if not model.shared_embedding_and_softmax_weights:
        raise ValueError(
            "Unitransformer.shared_embedding_and_softmax_weights = False: the output would ignore "
            f"the clusters of {NAME}; set tied_embeddings = False instead"
        )
    if model.z_loss:
        raise ValueError(
            f"Unitransformer.z_loss = {model.z_loss} with {NAME}: expected 0, because its logits "
            "are log-probabilities, whose log(Z) is always 0; set z_loss = 0.0"
        )
    if model.label_smoothing:
        raise ValueError(
            f"Unitransformer.label_smoothing = {model.label_smoothing} with {NAME}: expected 0, "
            "because smoothing makes targets of the ids without a probability"
        )
