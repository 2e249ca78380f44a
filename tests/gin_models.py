"""Models described by gin files, for tests: parses as t5's main does, lists compositions."""

import functools
import importlib.util
import os
import zipfile

import gin

from primer.gin_config import config_files, dead_bindings, statements
from tests.paths import GOLDEN


def package_folder(package, *parts):
    """Returns a folder of an installed package without importing the package."""
    return os.path.join(importlib.util.find_spec(package).submodule_search_locations[0], *parts)


def t5_gin():
    """Returns t5's folder of gin files, which its main adds to gin's search path."""
    return package_folder("t5", "models", "gin")


def parse(files, bindings=()):
    """Parses gin files and bindings after Mesh-TensorFlow's defaults."""

    def parse_all():
        gin.clear_config()
        _parse_files(tuple(map(str, files)))
        gin.parse_config(list(bindings))

    _with_prefixes(parse_all)


def _with_prefixes(parse_files):
    """Calls a function while gin searches our folder and t5's."""
    before = gin.config._LOCATION_PREFIXES
    gin.config._LOCATION_PREFIXES = ["", config_files.gin_directory(), t5_gin()]
    try:
        parse_files()
    finally:
        gin.config._LOCATION_PREFIXES = before


def _cached_for_the_folder(function):
    """Caches results for each folder gin/: tests/docs/put_back.py changes a copy of it."""
    results = functools.cache(lambda _folder, *args: function(*args))
    return functools.wraps(function)(lambda *args: results(config_files.gin_directory(), *args))


# (Folder gin/, files) -> gin's bindings and imports after parsing them: a cache, because thousands
# of tests parse the same few files.
_parsed = {}


def _parse_files(files):
    key = config_files.gin_directory(), files
    config, imports = _parsed.get(key, (None, None))
    if config is not None:
        gin.config._CONFIG.update({key: dict(values) for key, values in config.items()})
        gin.config._IMPORTS.update(imports)
        return
    gin.parse_config_file(package_folder("mesh_tensorflow", "transformer", "gin", "defaults.gin"))
    gin.parse_config_files_and_bindings(list(files), [], finalize_config=False)
    if not any(map(os.path.isabs, files)):  # Files of a test may change between tests.
        config = {key: dict(values) for key, values in gin.config._CONFIG.items()}
        _parsed[key] = config, gin.config._IMPORTS.copy()


def build(files, bindings=(), vocabulary_size=97, layout="", mesh_shape=""):
    """Builds the Unitransformer that gin files describe."""
    import mesh_tensorflow as mtf
    from mesh_tensorflow.transformer import utils

    parse(files, bindings)
    return utils.build_model(
        "lm",
        vocabulary_size,
        vocabulary_size,
        mtf.convert_to_layout_rules(layout),
        mtf.convert_to_shape(mesh_shape),
    )


@_cached_for_the_folder
def own_bindings(file):
    """Returns {(scope, selector, parameter): text} of what a gin file and its includes set."""
    gin.clear_config()
    gin.config._IMPORTS.clear()
    _with_prefixes(lambda: gin.parse_config_files_and_bindings([file], [], finalize_config=False))
    return dead_bindings.snapshot()


def merged_bindings(files):
    """Returns the bindings of files in this order, without parsing them together.

    As in gin, a later file replaces what an earlier one set (tests/gin/test_composition.py).
    """
    merged = {}
    for file in files:
        merged |= own_bindings(file)
    return merged


@_cached_for_the_folder
def two_dimensional(rows=2, columns=2):
    """Returns mesh_shape and layout of meshes/two_dimensional.gin, for `build`."""
    path = os.path.join(config_files.gin_directory(), "meshes", "two_dimensional.gin")
    found = {s.arg_name: s.value for s in statements.parse_file(path) if statements.is_binding(s)}
    return {"mesh_shape": f"rows:{rows},columns:{columns}", "layout": found["layout_rules"]}


@_cached_for_the_folder
def slots(path):
    """Returns {slot: value} of one of our gin files, its includes first."""
    found = {}
    for statement in statements.parse_file(os.path.join(config_files.gin_directory(), path)):
        if statements.is_include(statement):
            found |= slots(statement.filename)
        elif statements.is_macro(statement):
            found[statements.macro_name(statement)] = statement.value
    return found


def architecture_slots(name):
    """Returns {slot: value} of an architecture."""
    return slots(config_files.gin_file("architectures", name))


def size_numbers(name):
    """Returns {slot: number} of a size; those of a ladder computed, without its depth."""
    from primer.layers import ladder

    numbers = dict(slots(config_files.gin_file("sizes", name)))
    depth = numbers.pop("depth", None)
    return {
        slot: ladder.ladder_sizes(depth)[slot] if isinstance(value, statements.Reference) else value
        for slot, value in numbers.items()
    }


# Overlays add experts to another architecture; bases are complete architectures.
_NAMES = config_files.names_of_kind("architectures")
OVERLAYS = [name for name in _NAMES if "block" in architecture_slots(name)]
BASES = [name for name in _NAMES if name not in OVERLAYS]
# Overlay -> the architectures that it is combined with, where not all. An overlay sets only slots
# of the block and of experts, none of which an architecture sets (tests/gin/test_lint.py), so that
# what an architecture does to experts shows with `switch`. These two have the two ways in which the
# places of layers matter (norms before all, and by turns), one of them with what is GShard's.
REPRESENTATIVES = {"gshard_experts": ("gshard", "primer")}
# Architectures that combine what others have: their tests are slow, and none has experts.
VARIATIONS = [name for name in BASES if name.startswith("gshard_")]


def files(architecture, activation="squared_relu", overlay=None, size="tiny"):
    """Returns the gin files of a composition."""
    chosen = config_files.composition_files(architecture, activation, size)
    return chosen + ([config_files.gin_file("architectures", overlay)] if overlay else [])


def fewest_blocks(architecture):
    """Returns the number of blocks that an architecture's pattern of attention kinds needs."""
    from primer.layers import kind_pattern

    kinds = architecture_slots(architecture)["attention_kinds"]
    return 1 if kinds is None else len(kind_pattern.expand(kinds))


def has_two_layers_a_block(overlay):
    """Returns whether a block with an overlay's experts takes two of the architecture's layers."""
    number = architecture_slots(overlay)["num_blocks"] if overlay else None
    return getattr(number, "name", None) == "half_depth"


def fewest_layers(architecture, overlay=None):
    """Returns the smallest `num_layers` with as many blocks as `fewest_blocks`, or half of them."""
    number = fewest_blocks(architecture)
    return number + number % 2 if has_two_layers_a_block(overlay) else number


def fewest_block_bindings(architecture, overlay=None):
    """Returns bindings for a model of the fewest blocks, dense or with experts."""
    number = fewest_blocks(architecture)
    layers = f"num_layers = {fewest_layers(architecture, overlay)}"
    return (layers, *(f"num_{name}_blocks = {number}" for name in ("evolved", "switch")))


def rejects_experts(architecture):
    """Returns whether an architecture's block does not allow experts."""
    return len(architecture_slots(architecture)["dense_block"]) > 2


def compositions():
    """Returns (architecture, overlay or None) of all compositions."""
    alone = [(name, None) for name in BASES]
    bases = [n for n in BASES if n not in VARIATIONS and not rejects_experts(n)]
    pairs = [(n, o) for n in bases for o in OVERLAYS]
    return alone + [(n, o) for n, o in pairs if n in REPRESENTATIVES.get(o, BASES)]


def is_quick_with_experts(composition):
    """Returns whether the quick tests that build every composition have this one.

    They combine one overlay with every architecture, and the others with two.
    """
    architecture, overlay = composition
    return overlay in (None, "switch") or architecture in ("primer", "llama")


def run_compositions():
    """Returns the compositions that tests run: all that `is_quick_with_experts` has."""
    return list(filter(is_quick_with_experts, compositions()))


def as_params(compositions, quick):
    """Returns test parameters with readable ids, marked slow unless `quick` is true of them.

    Those of VARIATIONS are slow in any case.
    """
    from tests import slow

    def is_quick(value):
        return value[0][0] not in VARIATIONS and quick(*value)

    alone = [(composition,) for composition in compositions]
    return slow.all_but(is_quick, alone, lambda value: name_of(*value))


def architecture_params(names=BASES):
    """Returns test parameters of architectures; VARIATIONS are slow."""
    from tests import slow

    return slow.all_but(lambda name: name not in VARIATIONS, names)


def name_of(composition):
    """Returns a readable id of a composition."""
    return "+".join(filter(None, composition))


def goldens():
    """Returns the names of the golden files that the original layers computed."""
    return sorted(path.stem for path in GOLDEN.glob("*.npz") if _has_variables(path))


def _has_variables(path):
    with zipfile.ZipFile(path) as archive:
        return any(name.startswith("var/") for name in archive.namelist())


def golden_files(golden):
    """Returns the gin files of a golden file's model: a published model at the tiny size."""
    sizes = config_files.names_of_kind("sizes")
    named = {golden, *(f"{size}_{golden}" for size in sizes)}
    published = sorted(named.intersection(config_files.names_of_kind("models")))
    if not published:
        return files(golden)
    return [*config_files.published_model_files(published[0]), "sizes/tiny.gin"]
