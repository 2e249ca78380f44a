"""Variables of layers: their scope, and the dimension of an ensemble."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common import class_names
from primer.layers import MixtureOfExperts, variables
from tests.layers import helpers


@variables.stored_under("Original")
class Replacement(transformer.TransformerLayer):
    """A layer with one variable, stored under another layer's name."""

    def call(self, context, x):
        scale = variables.get_variable(context, "scale", x.shape.dims[-1:], tf.ones_initializer())
        return x * scale


def test_variables_are_stored_under_the_scope_of_the_decorator():
    layer = Replacement()
    stack = transformer.LayerStack([layer])
    with helpers.bench() as b:
        x = b.put(np.ones([3, 4], np.float32), "length", "d_model")
        context = helpers.layer_context(b, x)
        context.current_layer = layer
        context.current_layer_input = x
        transformer.sublayer_call_layer(x, stack, context)
        assert [v.op.name for v in tf.global_variables()] == ["Original/scale"]


def test_messages_name_the_class_as_its_source_does():
    assert class_names.class_name(Replacement()) == "Replacement"
    assert MixtureOfExperts.__name__ == "MoE1D"
    assert class_names.class_name(MixtureOfExperts()) == "MixtureOfExperts"


@pytest.mark.parametrize("ensemble_dims", [[], [mtf.Dimension("ensemble", 2)]])
def test_models_of_an_ensemble_have_variables_of_their_own(ensemble_dims):
    with helpers.bench() as b:
        x = b.put(np.ones([3, 4], np.float32), "length", "d_model")
        context = helpers.layer_context(b, x)
        context.model.ensemble_dims = ensemble_dims
        scale = variables.get_variable(context, "scale", x.shape.dims[-1:])
        assert scale.shape == mtf.Shape(ensemble_dims + x.shape.dims[-1:])
        assert scale.dtype == context.variable_dtype.activation_dtype
