"""The floors of the rooms of primer/: modules import only from lower floors."""

import ast
import sys
from pathlib import Path

import pytest

import primer

PACKAGE = Path(primer.__file__).resolve().parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Room (folder or module of primer/) -> floor; a room imports only from lower floors.
FLOORS = {
    "__main__": 11,
    "cli": 10,
    "commands": 9,
    "experiments": 8,
    "convert": 8,
    "model": 8,
    "profiling": 8,
    "saved_model": 7,
    "launch": 7,
    "planning": 7,
    "generation": 7,
    "evaluation": 7,
    "runtime": 6,
    "gin_config": 5,
    "checkpoints": 4,
    "data": 4,
    "layers": 4,
    "optimizers": 4,
    "schedules": 4,
    "cost": 3,
    "parametrization": 3,
    "common": 2,
    "errors": 1,
    "__init__": 0,  # The version, and `primer.load`, which imports when called.
}
# Rooms on lower floors that a room must not import: gin bindings connect them.
APART = {"runtime": {"data", "layers"}}
# Split a folder with more modules into two rooms.
MOST_MODULES = 16

# Room -> packages that it may import besides the standard library; other rooms have no limit.
PACKAGES = {
    "layers": {"gin", "mesh_tensorflow", "tensorflow"},
    "optimizers": {"gin", "mesh_tensorflow", "tensorflow"},
    "schedules": {"gin", "mesh_tensorflow", "tensorflow"},
    "parametrization": {"gin", "mesh_tensorflow", "tensorflow"},
    "data": {"gin", "numpy", "seqio", "sentencepiece", "t5", "tensorflow", "tensorflow_datasets"}
    # Imported on use: file formats, text normalization, and Beam for `primer data prepare`.
    | {"pyarrow", "zstandard", "ftfy", "apache_beam"},
    "planning": {"gin", "mesh_tensorflow", "numpy", "seqio", "t5", "tensorflow"},
}

# Modules that `primer --help` imports; they must not import packages at the top.
QUICK = ["__init__", "__main__", "cli", "errors", "gin_config/config_files", "launch/train"]


def imports(path, nested=True):
    """Yields the full names that a file imports; `nested` includes those inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if nested else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def name_of(path):
    return str(path.relative_to(PACKAGE).with_suffix(""))


each = pytest.mark.parametrize("path", MODULES, ids=name_of)


@each
def test_nothing_imports_upward(path):
    own = room(path)
    nested = own != "__init__"
    used = {name.split(".")[1] for name in imports(path, nested) if name.startswith("primer.")}
    used -= {own, "__version__"}
    assert all(FLOORS[other] < FLOORS[own] for other in used), used
    assert not used & APART.get(own, set())


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) in PACKAGES], ids=name_of)
def test_a_room_imports_only_its_packages(path):
    used = {name.split(".")[0] for name in imports(path)}
    assert used - set(sys.stdlib_module_names) <= {"primer", *PACKAGES[room(path)]}


@each
def test_no_module_imports_t5_imports_or_tests(path):
    assert not any(name.split(".")[0] in ("t5_imports", "tests") for name in imports(path))


@pytest.mark.parametrize("name", QUICK)
def test_modules_of_primer_help_import_only_the_standard_library(name):
    top = {name.split(".")[0] for name in imports(PACKAGE / f"{name}.py", nested=False)}
    assert top <= {"primer", *sys.stdlib_module_names}


def test_every_room_has_a_floor_and_none_is_too_large():
    for folder in {path.parent for path in MODULES} - {PACKAGE}:
        modules = [path for path in folder.glob("*.py") if path.stem != "__init__"]
        assert modules or folder.name == "layers", f"{folder} is empty"
        assert len(modules) <= MOST_MODULES, f"{folder} has {len(modules)} modules"
    assert {room(path) for path in MODULES} <= set(FLOORS)
