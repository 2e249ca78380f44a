"""Lazy modules: found at once, executed once, when first used, and then the modules themselves."""

import importlib
import sys
import threading
import types

import pytest

from primer.runtime.lazy_imports import finder
from primer.runtime.lazy_imports.lazy_module import LazyModule, execute_named

FILES = {
    "lazy_a/__init__.py": "from lazy_a import inner\nlog.append('lazy_a')\nvalue = inner.value",
    "lazy_a/inner.py": "import lazy_a\nvalue = 7\nlog.append('lazy_a.inner')",
    "lazy_a/other.py": "log.append('lazy_a.other')",
    "lazy_broken.py": "log.append('broken')\nimport no_such_module",
    "plain.py": "import lazy_a, lazy_a.other, lazy_broken\nlog.append('plain')",
}


@pytest.fixture
def log(tmp_path, monkeypatch):
    """The names of the modules of FILES in the order of their execution."""
    executed = []
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"from lazy_log import log\n{text}\n")
    monkeypatch.setitem(sys.modules, "lazy_log", types.SimpleNamespace(log=executed))
    monkeypatch.syspath_prepend(str(tmp_path))
    names = frozenset(("lazy_a", "lazy_a.other", "lazy_broken", "lazy_missing"))
    others = [own for own in sys.meta_path if not isinstance(own, finder.Finder)]
    monkeypatch.setattr(sys, "meta_path", [finder.Finder(names), *others])
    yield executed
    for name in [name for name in sys.modules if name.startswith(("lazy_", "plain"))]:
        if name != "lazy_log":
            del sys.modules[name]


def test_a_module_is_executed_once_when_it_is_used(log):
    import plain

    assert log == ["plain"]
    importlib.import_module("lazy_a")
    assert log == ["plain"]
    assert type(plain.lazy_a) is LazyModule
    assert plain.lazy_a.value == 7
    assert log == ["plain", "lazy_a.inner", "lazy_a"]
    assert type(plain.lazy_a) is types.ModuleType
    assert plain.lazy_a is sys.modules["lazy_a"] is importlib.import_module("lazy_a")
    assert type(plain.lazy_a.__loader__) is type(types.__loader__)
    assert plain.lazy_a.__spec__.loader is plain.lazy_a.__loader__


def test_a_lazy_submodule_executes_its_package_first(log):
    import plain

    assert plain.lazy_a.__spec__.name == "lazy_a"
    vars(sys.modules["lazy_a.other"])
    assert log == ["plain", "lazy_a.inner", "lazy_a", "lazy_a.other"]
    assert plain.lazy_a.other is sys.modules["lazy_a.other"]


def test_another_submodule_executes_the_package_and_is_executed_once(log):
    import lazy_a.inner

    assert log == ["lazy_a.inner", "lazy_a"]
    assert lazy_a.inner is sys.modules["lazy_a.inner"]
    assert lazy_a.inner.__spec__.loader.get_source("lazy_a.inner") == (
        f"from lazy_log import log\n{FILES['lazy_a/inner.py']}\n"
    )


@pytest.mark.parametrize(
    "use",
    [
        lambda module: dir(module),
        lambda module: setattr(module, "value", 8),
        lambda module: module.__doc__,
        lambda module: execute_named(module.__name__),
    ],
)
def test_every_use_executes(log, use):
    import lazy_a

    use(lazy_a)
    assert log == ["lazy_a.inner", "lazy_a"]


def test_a_name_that_is_imported_from_it_executes(log):
    from lazy_a import value

    assert value == 7 and log == ["lazy_a.inner", "lazy_a"]


def test_an_error_of_the_module_is_raised_at_each_use(log):
    import lazy_broken

    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_module"):
            print(lazy_broken.value)
    assert log == ["broken", "broken"]


def test_a_module_that_is_not_installed_raises_at_its_import(log):
    with pytest.raises(ModuleNotFoundError, match="lazy_missing"):
        importlib.import_module("lazy_missing")


def test_threads_wait_for_the_execution(log):
    import lazy_a

    values = []
    threads = [threading.Thread(target=lambda: values.append(lazy_a.value)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == [7] * 8 and log == ["lazy_a.inner", "lazy_a"]
