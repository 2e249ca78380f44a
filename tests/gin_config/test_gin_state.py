"""What each private name of gin-config 0.5.0 means, and that only gin_state.py touches one."""

import ast
import importlib.metadata
import os
from pathlib import Path

import gin
import pytest

import primer
from primer.gin_config import gin_state

PACKAGE = Path(primer.__file__).resolve().parent
OTHERS = sorted(path for path in PACKAGE.rglob("*.py") if path.stem != "gin_state")


@gin.configurable(module="gin_state_test")
def measured(size=1, width=2):
    return size, width


@gin.configurable(module="gin_state_test")
class Measure:
    def __init__(self, unit="m"):
        self.unit = unit


MEASURED = "gin_state_test.measured"


def private_uses(source):
    """Yields the private names of gin.config, or of gin's other modules, that code refers to."""
    aliases = {"gin.config"}
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gin":
            aliases |= {alias.asname or alias.name for alias in node.names}
            yield from (alias.name for alias in node.names if alias.name.startswith("_"))
        elif isinstance(node, ast.Import):
            names = [alias for alias in node.names if alias.name.split(".")[0] == "gin"]
            aliases |= {alias.asname for alias in names if alias.asname}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            owner = ast.unparse(node.value)
            if owner in aliases or owner.split(".")[0] == "gin":
                yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr"):
            if node.args and ast.unparse(node.args[0]) in aliases:
                yield ast.unparse(node.args[1])


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_other_module_touches_gins_private_state(path):
    assert list(private_uses(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import gin\ngin.config._CONFIG",
        "import gin.config\ngin.config._REGISTRY['a']",
        "from gin import config as gin_config\ngin_config._IMPORTS",
        "from gin import config\nconfig._SINGLETONS",
        "from gin.config import _CONFIG",
        "import gin\ngetattr(gin.config, name)",
    ],
)
def test_every_way_to_private_state_is_seen(source):
    assert list(private_uses(source))


def test_gin_state_uses_names_that_this_version_has():
    assert importlib.metadata.version("gin-config") == "0.5.0"
    source = Path(gin_state.__file__).read_text(encoding="utf-8")
    names = set(private_uses(source)) - {"name"} | set(gin_state._CLEARED)
    assert {"_CONFIG", "_LOCATION_PREFIXES", "_set_config_is_locked"} <= names
    assert [name for name in names if not hasattr(gin.config, name)] == []


def test_the_value_of_a_macro_calls_references_and_leaves_gins_record():
    gin.parse_config(["size = @size/measured()", "size/measured.size = 5", "pair = [%size, 1]"])
    assert gin_state.value_of_macro("pair") == [(5, 2), 1]
    assert gin_state.value_of_macro("size") == (5, 2)
    assert not gin_state.recorded_calls()


def test_bindings_are_under_scope_and_complete_selector():
    gin.parse_config(["measured.size = 5", "a/b/measured.width = %w", "w = 3"])
    found = gin_state.bindings()
    assert found["", MEASURED] == {"size": 5}
    assert repr(found["a/b", MEASURED]["width"]) == "%w"
    assert found["w", gin_state.MACRO] == {"value": 3}
    assert gin_state.bindings_of("", MEASURED) == {"size": 5}
    assert gin_state.bindings_of("a", MEASURED) == {}
    gin.clear_config()
    assert not found, "a live view"


def test_recorded_calls_have_what_gin_supplied_and_defaults_only():
    gin.parse_config(["measured.size = 5"])
    measured(1)
    assert gin_state.recorded_calls() == {("", MEASURED): {"width": 2}}
    with gin.config_scope("a"), gin.config_scope("b"):
        measured()
    assert gin_state.recorded_calls()["a/b", MEASURED] == {"size": 5, "width": 2}


def test_recorded_calls_are_restored():
    measured()
    with gin_state.recorded_calls_restored():
        with gin.config_scope("a"):
            measured(size=3)
        Measure()
        assert len(gin_state.recorded_calls()) == 3
    assert gin_state.recorded_calls() == {("", MEASURED): {"size": 1, "width": 2}}


def test_calls_inside_a_block_are_recorded_apart():
    with gin.config_scope("a"):
        measured(size=3)
    measured(size=3)
    with gin_state.calls_recorded() as calls:
        measured(width=4)
        Measure()
    assert calls == {("", MEASURED): {"size": 1}, ("", "gin_state_test.Measure"): {"unit": "m"}}
    recorded = gin_state.recorded_calls()
    assert recorded["", MEASURED] == {"size": 1, "width": 2}
    assert recorded.keys() == {("a", MEASURED), *calls}


def test_macros_referred_to_are_found_at_any_depth():
    gin.parse_config(["measured.size = [{'a': (%inner,)}]", "inner = %outer", "outer = 1"])
    gin.parse_config(["unread = 2", "scope/name = 3", "measured.width = %scope/name"])
    assert gin_state.macros_referred_to() == {"inner", "outer", "scope/name"}


def test_the_registry_has_functions_and_classes_without_wrappers():
    configurable = gin_state.configurable_named(MEASURED)
    assert configurable.wrapper is measured and configurable.wrapped is measured.__wrapped__
    assert configurable.selector == MEASURED
    assert gin_state.configurable_named("gin_state_test.other") is None
    assert configurable.wrapped in gin_state.registered_functions()
    assert measured not in gin_state.registered_functions()


def test_a_configurable_is_found_by_its_function_and_by_its_wrapper():
    for function in (measured, measured.__wrapped__):
        assert gin_state.configurable_of(function).selector == MEASURED
    assert gin_state.configurable_of(Measure).selector == "gin_state_test.Measure"
    assert gin_state.configurable_of(private_uses) is None


def test_files_are_found_on_the_search_path_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(gin.config, "_LOCATION_PREFIXES", [""])
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "state.gin").write_text(f"macro = '{folder}'\n")
        gin.add_config_file_search_path(str(tmp_path / folder))
    assert gin_state.search_path() == ["", str(tmp_path / "a"), str(tmp_path / "b")]
    path, reader = gin_state.find_file("state.gin")
    assert path == os.path.join(str(tmp_path / "a"), "state.gin") and reader is open
    gin.parse_config_file("state.gin")
    assert gin.query_parameter("%macro") == "a"
    assert gin_state.find_file(str(tmp_path / "b" / "state.gin"))[0].startswith(str(tmp_path / "b"))
    with pytest.raises(FileNotFoundError, match=r"nowhere\.gin.*looked in \['', "):
        gin_state.find_file("nowhere.gin")


def test_a_parameter_is_bound_inside_the_block_of_a_locked_configuration():
    gin.parse_config(["measured.size = 5"])
    gin.finalize()
    with pytest.raises(RuntimeError):
        gin.bind_parameter("measured.width", 9)
    with gin_state.parameter_bound(MEASURED, "width", 9):
        assert measured() == (5, 9)
    assert measured() == (5, 2)
    with pytest.raises(KeyError), gin_state.parameter_bound(MEASURED, "size", 8):
        raise KeyError
    assert measured() == (5, 2) and gin.config_is_locked()
