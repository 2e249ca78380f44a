"""What the tests of the gin files share: parsing them as t5's main does."""

import importlib.util
import os

import gin
import pytest

from primer import config_files


def package_folder(package, *parts):
    """A folder of an installed package, without importing it."""
    return os.path.join(importlib.util.find_spec(package).submodule_search_locations[0], *parts)


@pytest.fixture(scope="session")
def t5_gin():
    """t5's own folder of gin files, which its main puts on gin's search path."""
    return package_folder("t5", "models", "gin")


@pytest.fixture
def load(t5_gin, monkeypatch):
    """A function (files, bindings) that parses them after Mesh-TensorFlow's own defaults."""
    folders = [config_files.gin_directory(), t5_gin]
    monkeypatch.setattr(gin.config, "_LOCATION_PREFIXES", ["", *folders])

    def parse(files, bindings=()):
        gin.clear_config()
        gin.parse_config_file(
            package_folder("mesh_tensorflow", "transformer", "gin", "defaults.gin")
        )
        gin.parse_config_files_and_bindings(list(files), list(bindings), finalize_config=False)

    return parse
