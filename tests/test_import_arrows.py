"""The floors of primer/'s folders: no module imports from its own floor or from above."""

import ast
import sys
from pathlib import Path

import pytest

import primer

PACKAGE = Path(primer.__file__).resolve().parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Room -> its floor; a room may import from the floors below its own.
FLOORS = {
    "__main__": 11,
    "cli": 10,
    "commands": 9,
    "experiments": 8,
    "model": 8,
    "saved_model": 7,
    "launch": 7,
    "planning": 7,
    "generation": 7,
    "evaluation": 7,
    "runtime": 6,
    "convert": 5,
    "gin_config": 5,
    "checkpoints": 4,
    "data": 4,
    "layers": 4,
    "optimizers": 3,
    "schedules": 3,
    "common": 2,
    "errors": 1,
    "__init__": 0,  # The version, and `primer.load`, whose import is made by the call.
}
# What a floor may not import although it lies below: gin names the parts of one to the other.
APART = {"runtime": {"data", "layers"}}
# A folder of more modules than this is two rooms.
MOST_MODULES = 16

# Room -> the packages that it may import, besides the standard library; others may import all.
PACKAGES = {
    "layers": {"gin", "mesh_tensorflow", "tensorflow"},
    "data": {"gin", "numpy", "seqio", "sentencepiece", "t5", "tensorflow", "tensorflow_datasets"}
    # Formats and normalization of the user's files, each where one is read; prepare's other engine.
    | {"pyarrow", "zstandard", "ftfy", "apache_beam"},
    "planning": {"gin", "mesh_tensorflow", "seqio", "t5", "tensorflow"},
}

# `primer --help` imports nothing slow: no package at the top of these files.
QUICK = ["__init__", "__main__", "cli", "errors", "gin_config/config_files", "launch/train"]


def imports(path, nested=True):
    """Yields the full names that a file imports, inside its functions too."""
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
def test_modules_of_the_start_import_nothing_slow(name):
    top = {name.split(".")[0] for name in imports(PACKAGE / f"{name}.py", nested=False)}
    assert top <= {"primer", *sys.stdlib_module_names}


def test_every_room_has_a_floor_and_none_is_too_large():
    for folder in {path.parent for path in MODULES} - {PACKAGE}:
        modules = [path for path in folder.glob("*.py") if path.stem != "__init__"]
        assert modules or folder.name == "layers", f"{folder} is empty"
        assert len(modules) <= MOST_MODULES, f"{folder} has {len(modules)} modules"
    assert {room(path) for path in MODULES} <= set(FLOORS)
