"""The output of AdaptiveEmbedding: log-probabilities of all words, and the losses of given ones."""

from collections.abc import Sequence
from typing import NamedTuple

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common.sharding import stored_weights
from primer.layers import variables
from primer.layers.embeddings import cluster_logits, clusters


class Inputs(NamedTuple):
    """What both functions of an Output read.

    Attributes:
        states: of each cluster, `[..., d_embed]`.
        tables: of each cluster, `[vocab, d_embed]` in any order.
        biases: of each cluster, `[vocab]`.
        cluster_logits: float32 `[..., vocab_clusters]`, of all clusters but the first; None if
            there is no other.
    """

    states: Sequence[mtf.Tensor]
    tables: Sequence[mtf.Tensor]
    biases: Sequence[mtf.Tensor]
    cluster_logits: mtf.Tensor | None


class Output:
    """Computes log-probabilities from hidden states.

    Args:
        parts: the clusters.
        widths: the dimension of each cluster's vectors.
        tables: the tables of the embedding; None: the output makes its own.
        projections: those of the embedding, `[d_embed, d_model]`; None: the output makes its own.
        is_projected: whether there are projections.
        vocab_dim: the dimension of the padded vocabulary.
    """

    def __init__(
        self,
        parts: list[clusters.Cluster],
        widths: list[mtf.Dimension],
        tables: list[mtf.Tensor] | None,
        projections: list[mtf.Tensor | None],
        is_projected: bool,
        vocab_dim: mtf.Dimension,
    ) -> None:
        self._clusters, self._widths = parts, widths
        self._tables, self._projections = tables, projections
        self._is_projected, self._vocab_dim = is_projected, vocab_dim
        self._cluster_dim = mtf.Dimension("vocab_clusters", len(parts) - 1)

    def inputs(self, hidden: mtf.Tensor, context: transformer.Context) -> Inputs:
        """Projects hidden states; creates the weights that are not the embedding's, in `logits/`.

        Args:
            hidden: `[..., d_model]`, the output of the stack.
            context: the context of the model.
        """
        numbers = range(len(self._clusters))
        with tf.variable_scope("logits"):
            projections = [self._projection(context, hidden.shape.dims[-1], i) for i in numbers]
            states = [self._project(hidden, projections[i], i) for i in numbers]
            tables = [self._table(context, i) for i in numbers]
            biases = [self._bias(context, each) for each in self._clusters]
            of_clusters = self._cluster_logits(states[0], context) if numbers[1:] else None
        return Inputs(states, tables, biases, of_clusters)

    def _project(self, hidden, projection, i):
        if projection is None:
            return hidden
        shape = hidden.shape - hidden.shape.dims[-1] + self._widths[i]
        return mtf.einsum([hidden, projection], output_shape=shape)  # [..., d_embed]

    def _cluster_logits(self, states, context):
        """Returns `[..., vocab_clusters]`; the vectors of clusters are like those of words."""
        width = self._widths[0]
        stddev = 1.0 if self._tables is not None else width.size**-0.5
        kernel = _variable(context, "cluster_kernel", [width, self._cluster_dim], stddev)
        bias = variables.get_variable(
            context, "cluster_bias", [self._cluster_dim], tf.zeros_initializer()
        )
        return _float(_product(states, kernel, width)) + _float(bias)

    def _projection(self, context, model_dim, i):
        if not self._is_projected or self._projections[i] is not None:
            return self._projections[i]
        name = "projection" + self._clusters[i].suffix
        return _variable(context, name, [model_dim, self._widths[i]], model_dim.size**-0.5)

    def _table(self, context, i):
        if self._tables is not None:
            return self._tables[i]
        each, width = self._clusters[i], self._widths[i]
        name = "kernel" + each.suffix
        kernel = _variable(context, name, [width, each.rows], width.size**-0.5)
        mark_padding(kernel, each)
        return kernel

    def _bias(self, context, cluster):
        name = "bias" + cluster.suffix
        bias = variables.get_variable(context, name, [cluster.rows], tf.zeros_initializer())
        mark_padding(bias, cluster)
        return bias

    def log_probabilities(
        self, inputs: Inputs, vocabulary_size: int, is_used: bool = True
    ) -> mtf.Tensor:
        """Returns log p of all words, float32 `[..., vocab]`.

        Args:
            inputs: what `inputs` returned.
            vocabulary_size: the number of ids that are not padding.
            is_used: False where the loss comes from `losses`, so that TensorFlow never computes
                these: then only the first cluster's product counts as FLOPs (`primer.cost`).
        """
        parts = []
        of_clusters: list[mtf.Tensor] = []
        for i, each in enumerate(self._clusters):
            bias = _float(inputs.biases[i])
            product = _product(inputs.states[i], inputs.tables[i], self._widths[i])
            if i > 0 and not is_used:
                product.operation.multiply_adds = 0
            x = _float(product) + bias
            rows = mtf.range(x.mesh, each.rows, tf.int32)  # [vocab]
            padding = mtf.greater_equal(rows, each.used(vocabulary_size))
            x += mtf.cast(padding, tf.float32) * cluster_logits.MASKED
            log_z = mtf.reduce_logsumexp(x, each.rows)
            if i == 0:
                log_z, of_clusters = self._head(inputs, log_z)
            parts.append(x - log_z if i == 0 else x - (log_z - of_clusters[i - 1]))
        return self._join(parts)

    def losses(self, inputs: Inputs, targets: mtf.Tensor, vocabulary_size: int) -> mtf.Tensor:
        """Returns -log p of the targets, float32 `[...]`, without the other log-probabilities.

        Args:
            inputs: what `inputs` returned.
            targets: ids, int32 `[...]`.
            vocabulary_size: the number of ids that are not padding.
        """
        losses = []
        of_clusters: list[mtf.Tensor] = []
        for i, each in enumerate(self._clusters):
            ids = own_ids(each, targets)
            log_z, picked = cluster_logits.log_z_and_picked(
                inputs.states[i],
                inputs.tables[i],
                inputs.biases[i],
                ids,
                each.used(vocabulary_size),
                is_gathered=i > 0,
            )
            if i == 0:
                log_z, of_clusters = self._head(inputs, log_z)
            loss = log_z - picked if i == 0 else log_z - picked - of_clusters[i - 1]
            losses.append(loss * mtf.cast(mtf.greater_equal(ids, 0), tf.float32))
        return mtf.add_n(losses)

    def _head(self, inputs, log_z):
        """Returns log Z of words and clusters, and log p of each cluster, from log Z of words."""
        x = inputs.cluster_logits
        if x is None:
            return log_z, []
        top = mtf.reduce_max(x, reduced_dim=self._cluster_dim)
        top = mtf.stop_gradient(mtf.maximum(log_z, top))
        others = mtf.reduce_sum(mtf.exp(x - top), reduced_dim=self._cluster_dim)
        log_z = top + mtf.log(mtf.exp(log_z - top) + others)
        return log_z, mtf.unstack(x - log_z, self._cluster_dim)

    def _join(self, parts):
        """Returns the clusters' words side by side, without the padding between them."""
        if [each.rows for each in self._clusters] == [self._vocab_dim]:
            return parts[0]
        # No mesh axis splits this name: clusters begin and end inside of the processors' parts.
        name = "all_words"
        parts = [
            mtf.slice(mtf.rename_dimension(x, each.rows.name, name), 0, each.end - each.start, name)
            for x, each in zip(parts, self._clusters, strict=True)
        ]
        return mtf.rename_dimension(mtf.concat(parts, name), name, self._vocab_dim.name)


def own_ids(cluster: clusters.Cluster, ids: mtf.Tensor) -> mtf.Tensor:
    """Returns ids counted from the cluster's first one, and -1 for those of other clusters."""
    is_own = mtf.logical_and(
        mtf.greater_equal(ids, cluster.start), mtf.less(ids, cluster.end)
    )  # [batch, length]
    # (id - start + 1) or 0, minus 1.
    return (ids - (cluster.start - 1)) * mtf.cast(is_own, ids.dtype) - 1


def mark_padding(weight: mtf.Tensor, cluster: clusters.Cluster) -> None:
    """Records on a variable which ids its rows are of, for the counts of `primer.cost`."""
    stored_weights.variable_of(weight).vocabulary_ids = (cluster.start, cluster.end)


def _variable(context, name, dims, stddev):
    return variables.get_variable(context, name, dims, tf.random_normal_initializer(stddev=stddev))


def _product(x, weight, width):
    """Returns x times a weight, summed over the width."""
    shape = x.shape - width + [dim for dim in weight.shape.dims if dim not in x.shape.dims]
    return mtf.einsum([x, weight], output_shape=shape)


def _float(x):
    return mtf.cast(x, tf.float32)
