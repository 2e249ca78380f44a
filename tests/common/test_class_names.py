"""Names of classes as their source has them."""

import functools

from primer.common import class_names


class Outer:
    class Layer:
        pass


def test_a_nested_class_has_its_own_name():
    assert class_names.class_name(Outer.Layer()) == "Layer"
    assert class_names.source_name(Outer.Layer) == "Layer"


def test_a_changed_name_does_not_count():
    """Layers may take the `__name__` of the class whose variables they have."""
    layer = type("Layer", (), {})
    layer.__name__ = "SelfAttention"
    assert class_names.class_name(layer()) == "Layer"


def test_what_has_no_name_is_shown_as_text():
    assert "functools" not in class_names.source_name(len)
    assert (
        class_names.source_name(functools.partial(len))
        == str(functools.partial(len)).rsplit(".", 1)[-1]
    )
