"""The name of a layer's class as its source has it.

`__name__` may be that of the class whose variables it has: see `primer.layers.variables`.
"""


def class_name(layer) -> str:
    """The name of the class of a layer, as `primer check`, logs and errors print it."""
    return source_name(type(layer))


def source_name(cls) -> str:
    """The name under which a class, or what stands for one in gin, is written in its source."""
    name = getattr(cls, "__qualname__", None) or getattr(cls, "__name__", None) or str(cls)
    return name.rsplit(".", 1)[-1]
