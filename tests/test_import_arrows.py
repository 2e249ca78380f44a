"""Who may import whom: the rooms of the house know only those below them."""

import ast
import sys
from pathlib import Path

import pytest

import primer

ROOT = Path(primer.__file__).resolve().parent
MODULES = sorted(ROOT.rglob("*.py"))

# Room -> the rooms of primer that it may import, besides itself and what all share.
ARROWS = {
    "layers": set(),
    "data": set(),
    "runtime": set(),
    "evaluation": {"runtime", "data"},
    "generation": {"evaluation", "runtime", "data"},
    "planning": {"runtime"},
}
SHARED = {"primer", "errors", "config_files", "routing", "class_names", "passes", "autotune"}

# Room -> the packages that it may import, besides the standard library; others may import all.
PACKAGES = {
    "layers": {"gin", "mesh_tensorflow", "tensorflow"},
    "data": {"gin", "numpy", "seqio", "sentencepiece", "t5", "tensorflow", "tensorflow_datasets"}
    # Formats and normalization of the user's files, each where one is read; prepare's other engine.
    | {"pyarrow", "zstandard", "ftfy", "apache_beam"},
    "planning": {"gin", "mesh_tensorflow", "tensorflow"},
}

# What the start of `primer --help` reads must be quick: no package at the top of these files.
QUICK = ["__init__", "__main__", "errors", "config_files", "cli"]


def imports(path, nested=True):
    """Yields the full names that a file imports, inside its functions too."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if nested else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path):
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def of_rooms(rooms):
    paths = [path for path in MODULES if room(path) in rooms]
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


@of_rooms(ARROWS)
def test_a_room_imports_only_the_rooms_below_it(path):
    allowed = {room(path), *ARROWS[room(path)], *SHARED}
    used = {name.split(".")[1] for name in imports(path) if name.startswith("primer.")}
    assert used - {"__version__"} <= allowed


@of_rooms(PACKAGES)
def test_a_room_imports_only_its_packages(path):
    used = {name.split(".")[0] for name in imports(path)}
    assert used - set(sys.stdlib_module_names) <= {"primer", *PACKAGES[room(path)]}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_imports_what_registers_everything(path):
    assert not any(name.split(".")[0] in ("t5_imports", "tests") for name in imports(path))


@of_rooms(QUICK)
def test_the_start_imports_nothing_slow(path):
    top = {name.split(".")[0] for name in imports(path, nested=False)}
    assert top <= {"primer", *sys.stdlib_module_names}


def test_every_room_has_a_rule():
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms <= {*ARROWS, "commands", "experiments"}
