"""What the tests of planning share: gin files of a user's, and gin's search path."""

import gin
import pytest

from primer.gin_config import config_files
from tests import gin_models


@pytest.fixture(autouse=True)
def search_path(monkeypatch):
    """gin looks where a run does: here, among ours, among t5's."""
    folders = ["", config_files.gin_directory(), gin_models.t5_gin()]
    monkeypatch.setattr(gin.config, "_LOCATION_PREFIXES", folders)


@pytest.fixture
def write(tmp_path):
    """A function (relative path, text) that writes a file below a folder; returns its path."""

    def write_file(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write_file
