"""What the tests of the gin files share: parsing them as t5's main does."""

import gin
import pytest

from primer.gin_config import config_files
from tests import gin_models


@pytest.fixture(scope="session")
def t5_gin():
    """t5's own folder of gin files."""
    return gin_models.t5_gin()


@pytest.fixture
def load(t5_gin, monkeypatch):
    """A function (files, bindings) that parses them after Mesh-TensorFlow's own defaults."""
    folders = [config_files.gin_directory(), t5_gin]
    monkeypatch.setattr(gin.config, "_LOCATION_PREFIXES", ["", *folders])
    return gin_models.parse
