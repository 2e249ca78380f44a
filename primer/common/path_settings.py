"""The names of gin's settings whose values are paths of data.

A run binds them absolute (`primer.gin_config.absolute_paths`) before `config.gin` is written: a
relative path would mean other files when a later command runs in another working directory.
"""

# A registry, as gin's own: a setting is declared where its configurable is defined.
_names: dict[str, None] = {}


def declare(*names: str) -> None:
    """Declares settings whose values are paths or patterns, or lists of them.

    Args:
        names: gin's names, as in "text_files.glob".
    """
    _names.update(dict.fromkeys(names))


def declared() -> tuple[str, ...]:
    """Returns all declared names."""
    return tuple(_names)
