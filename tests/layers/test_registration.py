"""What importing the layers registers with gin."""

import gin

from primer import layers


def test_only_what_a_user_sets_is_configurable():
    ours = {
        selector.split(".")[-1]
        for selector, item in gin.config._REGISTRY.items()
        if item.wrapped.__module__.startswith("primer.layers")
    }
    # squared_relu stands in Mesh-TensorFlow's module of activations.
    assert ours == {*layers.__all__, "squared_relu"}
