"""The name of a layer's class as its source has it.

`__name__` may be that of another class, whose variable names the layer uses: see
`primer.layers.variables`.
"""


def class_name(layer: object) -> str:
    """Returns the name of a layer's class, as `primer check`, logs and errors print it."""
    return source_name(type(layer))


def source_name(configurable: object) -> str:
    """Returns the name under which a class, or gin's wrapper of it, is written in its source."""
    name = (
        getattr(configurable, "__qualname__", None)
        or getattr(configurable, "__name__", None)
        or str(configurable)
    )
    return name.rsplit(".", 1)[-1]
