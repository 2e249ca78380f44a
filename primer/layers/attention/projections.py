"""The projections of attention: queries, keys, values and output, with or without biases.

    q = x Wq + bq     k = x Wk + bk     v = x Wv + bv     [batch, length, d_model]
                                                          -> [batch, length, heads, d_kv]
    y = o Wo + bo                                         back to [batch, length, d_model]

The weights are those of Mesh-TensorFlow's SelfAttention: `q`, `k`, `v` `[d_model, heads * d_kv]`
and `o` `[heads * d_kv, d_model]`, or with their dimensions apart (`combine_dims = False`). The
biases are `q_bias`, `k_bias`, `v_bias` `[heads * d_kv]` and `o_bias` `[d_model]`.
"""

from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import attention, transformer, transformer_layers

from primer.common.class_names import class_name
from primer.layers import initializers, mesh_layout, variables

# Setting -> whether queries, keys and values have biases, and whether the output has one.
BIASES = {
    "none": (False, False),
    "qkv": (True, False),
    "output": (False, True),
    "all": (True, True),
}


class Projections(attention.AttentionParams):
    """AttentionParams with biases, whose queries may be scaled by the layer instead of here.

    Args:
        context: the layer's context.
        biases: which projections have biases, a key of BIASES.
        scaled_by_layer: whether the layer multiplies the queries by its own factor, so that neither
            their initial values nor `compute_q` have the factor d_kv^-0.5.
        **kwargs: those of AttentionParams.
    """

    def __init__(
        self,
        context: transformer.Context,
        biases: str = "none",
        scaled_by_layer: bool = False,
        **kwargs: Any,
    ) -> None:
        self._context = context
        self.has_qkv_biases, self.has_output_bias = BIASES[biases]
        if scaled_by_layer:
            kwargs["fold_scaling_into_initializer"] = False
        self.scaled_by_layer = scaled_by_layer
        super().__init__(context.mesh, **kwargs)

    def init_weights(self) -> None:
        """Creates the variables of queries, keys, values and output, as AttentionParams does."""
        # [d_model, heads] each, with d_kv merged into heads; with combine_dims = False apart.
        if not self.no_query:
            folds = self.fold_scaling_into_initializer
            self.wq = self._weight("q", self.q_shape, self.query_input_dim.size, folds)
        fan_in = self.memory_input_dim.size
        if self.shared_kv:
            self.wkv = self._weight("kv", self.k_shape, fan_in)
        else:
            self.wk = self._weight("k", self.k_shape, fan_in)
            self.wv = self._weight("v", self.v_shape, fan_in)
        self.wo = self._weight("o", self.o_shape, mtf.Shape(self.o_dims).size)  # [heads, d_model]

    def _weight(self, name, shape, fan_in, folds=False):
        """Creates a matrix; `folds`: its initial values have the factor d_kv^-0.5."""
        if mtf.layers.unit_scaling_convention():
            initializer = tf.random_normal_initializer(stddev=1.0)
        elif folds:
            factor = self.key_dim.size**-0.5
            initializer = initializers.QueryInitializer(fan_in**-0.5 * factor, factor)
        else:
            initializer = tf.random_normal_initializer(stddev=fan_in**-0.5)
        return mtf.get_variable(
            self.mesh, name, shape, initializer=initializer, dtype=self.variable_dtype
        )

    @property
    def scales_activations(self) -> bool:
        """Whether the factor d_kv^-0.5 is neither in the initial values nor the layer's."""
        return not (self.fold_scaling_into_initializer or self.scaled_by_layer)

    def compute_q(self, query_antecedent: mtf.Tensor) -> mtf.Tensor:
        """Projects `[..., d_model]` to queries `[..., heads, d_kv]`."""
        q = self._project(query_antecedent, self.wq, self.q_dims, "q_bias")
        return q * self.key_dim.size**-0.5 if self.scales_activations else q

    def compute_k(self, memory_antecedent: mtf.Tensor) -> mtf.Tensor:
        """Projects `[..., d_model]` to keys `[..., memory heads, d_kv]`."""
        return self._project(memory_antecedent, self.wk, self.k_dims, "k_bias")

    def compute_v(self, memory_antecedent: mtf.Tensor) -> mtf.Tensor:
        """Projects `[..., d_model]` to values `[..., memory heads, d_kv]`."""
        return self._project(memory_antecedent, self.wv, self.v_dims, "v_bias")

    def compute_kv(self, memory_antecedent: mtf.Tensor) -> mtf.Tensor:
        """Projects `[..., d_model]` to keys that are also values, `[..., memory heads, d_kv]`."""
        return self._project(memory_antecedent, self.wkv, self.k_dims, "kv_bias")

    def compute_output(self, o: mtf.Tensor, output_shape: mtf.Shape | None = None) -> mtf.Tensor:
        """Projects `[..., heads, d_kv]` back to `[..., d_model]`."""
        y = super().compute_output(o, output_shape)  # [batch, length, d_model]
        if not self.has_output_bias:
            return y
        return y + self._bias("o_bias", [self.output_dim])

    def add_bias(self, x: mtf.Tensor, name: str, dims: list[mtf.Dimension]) -> mtf.Tensor:
        """Adds the bias of a projection `[..., heads, d_kv]`, if it has one.

        Args:
            x: the projection.
            name: the name of the variable.
            dims: the dimensions of the bias, heads first.
        """
        if not self.has_qkv_biases:
            return x
        if not self.combine_dims:
            return x + self._bias(name, dims)
        merged = merged_dim(dims)
        return x + mtf.replace_dimensions(self._bias(name, [merged]), merged, dims)

    def _project(
        self, x: mtf.Tensor, weight: mtf.Tensor, dims: list[mtf.Dimension], bias: str
    ) -> mtf.Tensor:
        # [batch, length, heads], d_kv merged; with combine_dims = False apart
        y = mtf.layers.us_einsum([x, weight], reduced_dims=[self.query_input_dim])
        if self.combine_dims:
            y = mtf.replace_dimensions(y, y.shape.dims[-1], dims)  # [batch, length, heads, d_kv]
        return self.add_bias(y, bias, dims)

    def _bias(self, name: str, dims: list[mtf.Dimension]) -> mtf.Tensor:
        return variables.get_variable(self._context, name, dims, tf.zeros_initializer())


def make(
    layer: transformer_layers.SelfAttention,
    context: transformer.Context,
    cls: type[Projections] = Projections,
    **changes: Any,
) -> Projections:
    """Makes the projections of an attention layer from its settings.

    Args:
        layer: a MultiHeadAttention.
        context: the layer's context.
        cls: the class to make.
        **changes: arguments of AttentionParams that differ from the layer's settings.

    Raises:
        ValueError: the layout splits heads over processors that cannot share them evenly.
    """
    query_heads_dims, memory_heads_dims = heads_dims(layer)
    _check_splits(layer, context, [*query_heads_dims, *memory_heads_dims])
    settings = {
        "query_input_dim": context.model.model_dim,
        "memory_input_dim": context.model.model_dim,
        "output_dim": context.model.model_dim,
        "key_dim": layer.kv_dim,
        "value_dim": layer.kv_dim,
        "query_heads_dims": query_heads_dims,
        "memory_heads_dims": memory_heads_dims,
        "variable_dtype": context.variable_dtype,
        "ensemble_dim": context.model.ensemble_dim,
        "shared_kv": layer.shared_kv,
        "combine_dims": layer.combine_dims,
        "keep_query_heads_dims": layer.keep_query_heads_dims,
        "fold_scaling_into_initializer": layer.fold_scaling_into_initializer,
    }
    return cls(
        context,
        biases=layer.biases,
        scaled_by_layer=layer.own_scale is not None,
        **{**settings, **changes},
    )


def _check_splits(
    layer: transformer_layers.SelfAttention,
    context: transformer.Context,
    dims: list[mtf.Dimension],
) -> None:
    for dim in dims:
        splits = mesh_layout.num_splits(context.model, dim)
        if dim.size % splits:
            raise ValueError(
                f"{class_name(layer)}.num_heads = {layer.num_heads} and num_memory_heads = "
                f"{layer.num_memory_heads}: {dim.size} {dim.name} do not divide over the {splits} "
                f"processors of the mesh over which the layout splits {dim.name}; choose numbers "
                f"that {splits} divides, another mesh_shape, or utils.run.layout_rules without "
                f"{dim.name}"
            )


def heads_dims(
    layer: transformer_layers.SelfAttention,
) -> tuple[list[mtf.Dimension], list[mtf.Dimension]]:
    """Returns the dimensions of the heads of queries and of keys, as SelfAttention has them."""
    heads = mtf.Dimension("heads", layer.num_heads)
    if layer.num_heads == 1:
        return [], []
    if layer.num_memory_heads == 0:
        return [heads], [heads]
    if layer.num_memory_heads == 1:
        return [heads], []
    memory_heads = mtf.Dimension("heads", layer.num_memory_heads)
    query_heads = mtf.Dimension("query_heads", layer.num_heads // layer.num_memory_heads)
    return [memory_heads, query_heads], [memory_heads]


def merged_dim(dims: list[mtf.Dimension]) -> mtf.Dimension:
    """Returns the Dimension that replaces `dims` in a variable, under the first one's name."""
    return mtf.Dimension(dims[0].name, mtf.Shape(dims).size)
