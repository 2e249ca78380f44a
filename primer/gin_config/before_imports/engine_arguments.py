"""The flags of `t5_mesh_transformer` that decide its settings, read without its modules."""

import dataclasses
from collections.abc import Iterator, Sequence

from primer.common import user_paths

# Packages whose modules register configurables and nothing else.
OWN_MODULES = ("primer", "t5_imports", "mesh_tensorflow", "t5", "seqio")

# Flags whose values may come from other files than the command line.
_FROM_FILES = ("flagfile", "fromenv", "tryfromenv")


@dataclasses.dataclass(frozen=True)
class EngineArguments:
    """What a command line says of its settings.

    Attributes:
        gin_files: the values of `--gin_file`.
        gin_params: the values of `--gin_param`.
        modules: the values of `--module_import`.
        folders: the values of `--gin_location_prefix`.
        has_tpu: whether there is a `--tpu`.
        is_complete: whether nothing else decides the settings: no file of flags, no model API.
    """

    gin_files: tuple[str, ...] = ()
    gin_params: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    has_tpu: bool = False
    is_complete: bool = True

    @property
    def has_own_modules_only(self) -> bool:
        """Whether no module of the user registers or changes anything."""
        return all(is_own(name) for name in self.modules)


def is_own(module: str) -> bool:
    """Returns whether a module belongs to Primer, t5, Mesh-TensorFlow or seqio."""
    return module.partition(".")[0] in OWN_MODULES


def parse(words: Sequence[str]) -> EngineArguments:
    """Returns what the words after `t5_mesh_transformer` say, as absl's flags read them."""
    values: dict[str, list[str]] = {}
    for name, value in _flags(words):
        values.setdefault(name, []).append(value)
    folders = values.get("gin_location_prefix", [""])[-1]
    return EngineArguments(
        gin_files=tuple(map(user_paths.expand, values.get("gin_file", ()))),
        gin_params=tuple(values.get("gin_param", ())),
        modules=tuple(values.get("module_import", ())),
        folders=tuple(filter(None, folders.split(","))),
        has_tpu=any(values.get("tpu", ())),
        is_complete=not values.keys() & {*_FROM_FILES, "use_model_api"},
    )


def _flags(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields (name, value) of each flag; a flag without "=" has the next word as its value."""
    for index, word in enumerate(words):
        if word == "--":
            return
        if word.startswith("-"):
            name, equals, value = word.lstrip("-").partition("=")
            following = words[index + 1] if index + 1 < len(words) else ""
            yield name, value if equals else following
