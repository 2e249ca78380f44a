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


@pytest.fixture(scope="session")
def small_texts(tmp_path_factory):
    """A folder of small text files, with the gin file of a tiny model of them."""
    from tests import tiny_text

    return tiny_text.write(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="session")
def small_run(small_texts):
    """A directory with checkpoints 0, 3 and 6, and the best of 3 and 6: copy it to write there."""
    from tests import tiny_text
    from tests.command_lines import run

    options = ("--steps", 6, "--eval_every", 3, "--seed", 5)
    assert run(*tiny_text.train_words(small_texts, small_texts / "model", *options)) == 0
    return small_texts / "model"


@pytest.fixture(scope="session")
def small_held_out(small_texts):
    """The documents of the validation split of `small_texts`, found without the task."""
    import tensorflow as tf

    from primer.data.sources import text_files

    contents = [path.read_text() for path in sorted(small_texts.glob("*.txt"))]
    with tf.Graph().as_default(), tf.compat.v1.Session() as sess:
        found = [c for c in contents if sess.run(text_files.is_held_out(tf.constant(c), 0.2))]
    assert 0 < len(found) < len(contents)
    return found
