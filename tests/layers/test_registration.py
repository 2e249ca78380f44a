"""What importing the layers registers with gin."""

import gin

from primer import layers


def test_only_what_the_package_exports_is_configurable():
    """A layer that `primer/layers/__init__.py` imports is exported; helpers must not be in gin."""
    registered = {
        selector.split(".")[-1]
        for selector, item in gin.config._REGISTRY.items()
        if item.wrapped.__module__.startswith("primer.layers")
    }
    exported = {name for name, value in vars(layers).items() if callable(value) and name[0] != "_"}
    # These are modules there; gin files name their functions.
    assert registered == exported | {"gelu_exact", "squared_relu"}
    assert set(layers.__all__) <= exported
