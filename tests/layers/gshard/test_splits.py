"""On Lingvo's meshes, our layout splits every variable as Lingvo's templates do.

The layout is that of gin/meshes/two_dimensional.gin, whose axes are Lingvo's: 0 rows, 1 columns.
One block of each model is built, at full width.

The 40 heads of the 13B model do not divide over its 32 columns: XLA pads them, Mesh-TensorFlow does
not. Its variables divide, as a projection's heads and channels are one dimension. They are built on
fewer columns.
"""

import math

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.gin_config import config_files
from tests import gin_models
from tests.gin.test_gshard_sizes import MODELS, template_of
from tests.layers import helpers
from tests.layers.gshard import names


def build(bench, model, rows, columns):
    """Builds one block of a model for a mesh."""
    files = config_files.published_model_files(model)
    mesh = gin_models.two_dimensional(rows, columns)
    built = gin_models.build(files, ["num_layers = 1"], template_of(model)["vocab"], **mesh)
    ids = bench.put(np.ones([1, 4], np.int32), "batch", "length")
    built.call_simple(ids, ids, True, "train", mtf.VariableDType())


def splits(model):
    """Returns {name without block and layer: (shape, Lingvo's split_dims_mapping)} of one block."""
    rows, columns = template_of(model)["mesh"]
    mesh = gin_models.two_dimensional(rows, columns)
    layout = mtf.convert_to_layout_rules(mesh["layout"])
    mesh_shape = mtf.convert_to_shape(mesh["mesh_shape"])
    found = {}
    with helpers.bench(variables={}) as b:
        build(b, model, rows, math.gcd(columns, template_of(model)["heads"]))
        for variable in b.graph.trainable_variables:
            axes = layout.tensor_layout(variable.shape, mesh_shape).tensor_axis_to_mesh_axis
            axes = [-1 if axis is None else axis for axis in axes]
            sizes = tuple(variable.shape.to_integer_list)
            found[names.without_layer(variable.name)] = sizes, axes
    return found


@pytest.mark.parametrize("model", MODELS)
def test_splits_and_parameters_of_a_device_are_those_of_the_template(model):
    template, found = template_of(model), splits(model)
    assert set(found) == set(map(names.kind_of, template["by_kind"]))
    of_device = 0
    for theirs, kind in template["by_kind"].items():
        shape, axes = found[names.kind_of(theirs)]
        whole = [-1] * len(kind["shape"])
        assert (shape, axes) == (tuple(kind["shape"]), kind["split_dims_mapping"] or whole), theirs
        parts = [template["mesh"][axis] for axis in axes if axis >= 0]
        of_device += kind["count"] * math.prod(shape) // math.prod(parts)
    assert of_device == template["parameters_per_device"]


def test_heads_that_do_not_divide_are_an_error():
    message = "num_heads = 40 .* 40 heads do not divide over the 32 processors"
    with helpers.bench(variables={}) as b, pytest.raises(ValueError, match=message):
        build(b, "dense_lm_13b_32x32", 64, 32)
