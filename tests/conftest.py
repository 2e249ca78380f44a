"""What every test needs: the import hook, a clean gin, and the shared data where there are any."""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import pytest  # noqa: E402

from primer.common import console  # noqa: E402
from primer.runtime import import_hook  # noqa: E402
from tests.paths import ROOT  # noqa: E402

import_hook.install()


@pytest.hookimpl(optionalhook=True)  # Where pytest-xdist is not installed.
def pytest_xdist_auto_num_workers():
    """A process more than there are processors, for some tests wait for processes of their own.

    At most four: each takes up to 3 GB.
    """
    return min(os.cpu_count() + 1, 4)


@pytest.fixture(autouse=True)
def clean_gin():
    """No test sees another's bindings, or misses a line that another has had already."""
    import gin

    console.say_once.cache_clear()
    with gin.unlock_config():
        gin.clear_config(clear_constants=False)
        yield
        gin.clear_config(clear_constants=False)


@pytest.fixture(scope="session")
def t5_gin():
    """t5's own folder of gin files."""
    from tests import gin_models

    return gin_models.t5_gin()


@pytest.fixture
def gin_search_path(monkeypatch):
    """gin looks where a run does: here, among ours, among t5's."""
    import gin

    from primer.gin_config import config_files
    from tests import gin_models

    folders = ["", config_files.gin_directory(), gin_models.t5_gin()]
    monkeypatch.setattr(gin.config, "_LOCATION_PREFIXES", folders)


@pytest.fixture
def load(gin_search_path):
    """A function (files, bindings) that parses them after Mesh-TensorFlow's own defaults."""
    from tests import gin_models

    return gin_models.parse


@pytest.fixture
def write(tmp_path):
    """A function (relative path, text) that writes a file below a folder; returns its path."""

    def write_file(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write_file


@pytest.fixture(scope="module")
def eager():
    """TensorFlow as it starts, for reading data sets; t5's main, and tests of it, turn this off."""
    from tensorflow.python.eager import context

    with context.eager_mode():
        yield


@pytest.fixture(scope="session")
def shared_data():
    """The folder of data that are not ours to give away (PRIMER_SHARED_DATA), or a skip."""
    default = ROOT.parent / "shared" / "data"
    path = pathlib.Path(os.environ.get("PRIMER_SHARED_DATA", default))
    if not path.is_dir():
        pytest.skip(f"needs the shared data ({path}); set PRIMER_SHARED_DATA")
    return path
