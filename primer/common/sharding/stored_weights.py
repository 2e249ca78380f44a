"""Names of a weight's dimensions that let a layout split weights and activations differently.

GShard (https://arxiv.org/abs/2006.16668; Lingvo's README) splits a matrix `[d_model, d_ff]` over
both axes of a mesh, and activations `[batch, length, d_model]` too, with d_model over one axis in
weights and over the other one in activations. A layout of Mesh-TensorFlow has one rule for a name,
so that the weights' d_model needs a name of its own:

    d_model          activations between the layers, and tables that are added to them
    d_model_weight   the matrices of layers, as they are stored
    d_model_whole    a layer's input, and its matrices where they are multiplied: no rule splits it

A layout with a rule for `d_model_weight` whose mesh axis exists turns this on. A layer's input is
then gathered over the axis of d_model, its matrices over that of d_model_weight, and the sums of
its output over the axis of the hidden dimension are split again:

    x [batch:rows, length, d_model:columns]          -> [batch:rows, length, d_model_whole]
    w [d_model_weight:rows, d_ff:columns]            -> [d_model_whole, d_ff:columns]
    y [batch:rows, length, d_model_whole] partly summed -> [batch:rows, length, d_model:columns]

Names and shapes in checkpoints are those of any other layout. As in Lingvo, vectors `[d_model]` and
relative biases are whole on every processor, and the table of the embedding is split over d_model
alone, as activations are. A weight of experts whose experts lie on the axis of d_model_weight has
its d_model whole.
"""

import re
from collections.abc import Sequence
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

MODEL, STORED, WHOLE_MODEL = "d_model", "d_model_weight", "d_model_whole"
_WHOLE = "_whole"
# Every index along these is a weight of its own; they precede d_model where both ask for an axis.
_STACKED = ("ensemble", "experts", "expert_x", "expert_y")
# Lingvo does not split them.
_WHOLE_TABLES = re.compile(r"relative_attention_bias$")
# A tuple as key: TensorFlow leaves the collection out of checkpoints without a warning.
_KEY = ("primer/weight_sharding",)


class WeightSharding:
    """How one model's weights are stored.

    Args:
        layout: the layout rules.
        mesh_shape: the shape of the mesh.

    Raises:
        ValueError: a rule splits a dimension that has to be whole.
    """

    def __init__(self, layout: mtf.LayoutRules, mesh_shape: mtf.Shape) -> None:
        self._layout, self._mesh_shape = layout, mesh_shape
        if self.axis(WHOLE_MODEL) is not None:
            raise ValueError(
                f"utils.run.layout_rules = {layout}: no rule may split {WHOLE_MODEL}, the inputs "
                f"of layers; split {MODEL}, activations between layers, or {STORED}, weights"
            )

    def axis(self, name: str) -> int | None:
        """Returns the mesh axis over which a dimension of this name is split, or None."""
        dim = mtf.Dimension(name, 1)
        return self._layout.tensor_dimension_to_mesh_axis(dim, self._mesh_shape)

    def stored(self, name: str, shape: mtf.Shape) -> mtf.Shape:
        """Returns the dimensions with which a weight is stored.

        Args:
            name: the weight's name.
            shape: its dimensions in the layer.

        Raises:
            ValueError: the layout splits two of them over one axis.
        """
        names = shape.dimension_names
        own = [dim for dim in shape.dims if dim.name != "ensemble"]
        if [dim.name for dim in own] == [MODEL] or _WHOLE_TABLES.search(name):
            shape = mtf.Shape([self._whole(dim) if dim in own else dim for dim in shape.dims])
        elif WHOLE_MODEL in names and len(own) > 1 and not self._has_stacked_axis(shape):
            shape = shape.rename_dimension(WHOLE_MODEL, STORED)
        self._check(name, shape)
        return shape

    def _whole(self, dim: mtf.Dimension) -> mtf.Dimension:
        """Returns a dimension under a name that no rule splits, if one splits it."""
        return dim if self.axis(dim.name) is None else renamed(dim, dim.name + _WHOLE)

    def _has_stacked_axis(self, shape: mtf.Shape) -> bool:
        stacked = [self.axis(dim.name) for dim in shape.dims if dim.name in _STACKED]
        return self.axis(STORED) in stacked

    def table_dim(self, rows: mtf.Dimension, width: mtf.Dimension) -> mtf.Dimension:
        """Returns the dimension of the rows of a table: whole where its width has their axis."""
        axis = self.axis(width.name)
        return self._whole(rows) if axis is not None and axis == self.axis(rows.name) else rows

    def _check(self, name: str, shape: mtf.Shape) -> None:
        of_axis: dict[int, str] = {}
        for dim in shape.dims:
            axis = self.axis(dim.name)
            if axis is None:
                continue
            if axis in of_axis:
                raise ValueError(
                    f"utils.run.layout_rules = {self._layout}: {of_axis[axis]} and {dim.name} of "
                    f"the weight {name} {shape} are both split over the mesh axis "
                    f"{self._mesh_shape.dims[axis].name!r}; give them different axes, or remove "
                    "the rule of one of them"
                )
            of_axis[axis] = dim.name


def declare(model: Any) -> None:
    """Records, for the default graph, how the weights of the model that is built next are stored.

    Args:
        model: a Unitransformer; its `layout` and `mesh_shape` may be None.

    Raises:
        ValueError: see WeightSharding.
    """
    found = None
    if model.layout is not None and model.mesh_shape is not None:
        layout = mtf.convert_to_layout_rules(model.layout)
        sharding = WeightSharding(layout, mtf.convert_to_shape(model.mesh_shape))
        found = None if sharding.axis(STORED) is None else sharding
    tf.get_collection_ref(_KEY)[:] = [] if found is None else [found]


def current() -> WeightSharding | None:
    """Returns what `declare` recorded; None where weights are stored as layers use them."""
    return next(iter(tf.get_collection(_KEY)), None)


def table_dim(rows: mtf.Dimension, width: mtf.Dimension) -> mtf.Dimension:
    """Returns the dimension of the rows of a table whose width is split as activations are.

    Args:
        rows: the dimension of the rows, such as the vocabulary.
        width: the dimension of activations.
    """
    sharding = current()
    return rows if sharding is None else sharding.table_dim(rows, width)


def renamed(dim: mtf.Dimension, name: str) -> mtf.Dimension:
    """Returns a dimension of the same size with another name."""
    return mtf.Dimension(name, dim.size)


def logical_name(name: str) -> str:
    """Returns the name of a stored weight's dimension in a model of one device."""
    return MODEL if name == STORED else name.removesuffix(_WHOLE)


def logical_shape(dims: Sequence[mtf.Dimension]) -> mtf.Shape:
    """Returns the dimensions of a stored weight with their names in a model of one device."""
    return mtf.Shape([renamed(dim, logical_name(dim.name)) for dim in dims])


def variable_of(weight: mtf.Tensor) -> mtf.Variable:
    """Returns the variable that a weight is, or that it gathers."""
    operation = weight.operation
    return operation if isinstance(operation, mtf.Variable) else operation.inputs[0].operation
