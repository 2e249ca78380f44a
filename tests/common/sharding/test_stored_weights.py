"""The names under which weights are stored, and the errors of layouts."""

import mesh_tensorflow as mtf
import pytest
import tensorflow.compat.v1 as tf

from primer.common.sharding import layer_inputs, stored_weights
from tests import gin_models

MESH = {name: gin_models.two_dimensional(2, 2)[name] for name in ("layout", "mesh_shape")}


def sharding(layout=MESH["layout"], mesh_shape="rows:2,columns:2"):
    return stored_weights.WeightSharding(
        mtf.convert_to_layout_rules(layout), mtf.convert_to_shape(mesh_shape)
    )


def shape(*names):
    return mtf.Shape([mtf.Dimension(name, 4) for name in names])


# GShard's `split_dims_mapping` of each kind of weight, and those that it has not.
@pytest.mark.parametrize(
    "name, requested, stored, split",
    [
        ("q", ["d_model_whole", "heads"], ["d_model_weight", "heads"], [0, 1]),
        ("o", ["heads", "d_model_whole"], ["heads", "d_model_weight"], [1, 0]),
        ("embedding", ["vocab_whole", "d_model"], ["vocab_whole", "d_model"], [None, 1]),
        ("norm/scale", ["d_model"], ["d_model_whole"], [None]),
        ("o_bias", ["d_model_whole"], ["d_model_whole"], [None]),
        ("a/relative_attention_bias", ["heads", "buckets"], ["heads_whole", "buckets"], [None] * 2),
        ("wi/bias", ["d_ff"], ["d_ff"], [1]),
        (
            "experts/wi",
            ["experts", "d_model_whole", "expert_hidden"],
            ["experts", "d_model_whole", "expert_hidden"],
            [0, None, 1],
        ),
        ("wi", ["ensemble", "d_model_whole", "d_ff"], ["ensemble", "d_model_weight", "d_ff"], None),
    ],
)
def test_stored_names(name, requested, stored, split):
    found = sharding().stored(name, shape(*requested))
    assert found.dimension_names == stored
    assert split is None or [sharding().axis(dim.name) for dim in found.dims] == split
    original = [stored_weights.logical_name(each) for each in requested]
    assert stored_weights.logical_shape(found.dims).dimension_names == original


def test_a_table_is_whole_in_the_dimension_whose_axis_its_width_has():
    rows, width = shape("vocab", "d_model").dims
    assert sharding().table_dim(rows, width).name == "vocab_whole"
    assert sharding("vocab:rows,d_model:columns").table_dim(rows, width) == rows
    assert sharding("vocab:columns").table_dim(rows, width) == rows


@pytest.mark.parametrize(
    "layout, names, message",
    [
        ("d_model_weight:rows,d_ff:rows", ["d_model_whole", "d_ff"], "d_model_weight and d_ff of"),
        ("d_model:columns,vocab:columns", ["vocab", "d_model"], "vocab and d_model of the weight"),
    ],
)
def test_two_dimensions_on_one_axis(layout, names, message):
    with pytest.raises(ValueError, match=f"{message}.*mesh axis '(rows|columns)'; give them"):
        sharding(layout).stored("w", shape(*names))


def test_no_rule_for_the_inputs_of_layers():
    with pytest.raises(ValueError, match="no rule may split d_model_whole"):
        sharding("d_model_whole:rows")


@pytest.mark.parametrize(
    "change", [{"mesh_shape": "columns:2"}, {"layout": "d_model:rows"}, {"layout": None}]
)
def test_nothing_changes_without_a_rule_or_its_axis(change):
    with tf.Graph().as_default():
        model = gin_models.build(gin_models.files("transformer"))
        for name, value in {**MESH, **change}.items():
            setattr(model, name, value)
        stored_weights.declare(model)
        assert stored_weights.current() is None
        assert layer_inputs.whole_dim(model.model_dim) is model.model_dim
