"""Shared fixtures: the import hook, a cleared gin configuration, and optional shared data."""

import os
import pathlib
import zlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# As in a command, also where a test module imports TensorFlow before anything of Primer.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import pytest  # noqa: E402

from primer.common import console  # noqa: E402
from primer.runtime import import_hook  # noqa: E402
from tests import quick_cases  # noqa: E402
from tests.paths import ROOT  # noqa: E402

import_hook.install()


@pytest.hookimpl(optionalhook=True)  # pytest-xdist may be missing.
def pytest_xdist_auto_num_workers():
    """Returns a worker per processor: on two, a third makes each test use 20% more CPU time.

    At most four, because each uses up to 3 GB.
    """
    return min(os.cpu_count(), 4)


@pytest.hookimpl(tryfirst=True)  # Before pytest selects by marks.
def pytest_collection_modifyitems(config, items):
    """Leaves the slow tests of one part, where PRIMER_SLOW_PART names it: "2/4" is the second."""
    quick_cases.mark_slow(items)
    part = os.environ.get("PRIMER_SLOW_PART")
    if part is None:
        return
    index, parts = map(int, part.split("/"))
    left_out = [
        item
        for item in items
        if item.get_closest_marker("slow")
        and zlib.crc32(item.nodeid.encode()) % parts != index % parts
    ]
    config.hook.pytest_deselected(items=left_out)
    kept = set(items) - set(left_out)
    items[:] = [item for item in items if item in kept]


@pytest.fixture(autouse=True)
def clean_gin():
    """Clears gin's bindings and the record of messages printed once, before each test."""
    import gin

    console.say_once.cache_clear()
    with gin.unlock_config():
        gin.clear_config(clear_constants=False)
        yield
        gin.clear_config(clear_constants=False)


@pytest.fixture(scope="session")
def t5_gin():
    """Returns t5's folder of gin files."""
    from tests import gin_models

    return gin_models.t5_gin()


@pytest.fixture
def gin_search_path(monkeypatch):
    """Sets gin's search path as in a run: the working directory, our files, t5's files."""
    import gin

    from primer.gin_config import config_files
    from tests import gin_models

    folders = ["", config_files.gin_directory(), gin_models.t5_gin()]
    monkeypatch.setattr(gin.config, "_LOCATION_PREFIXES", folders)


@pytest.fixture
def load(gin_search_path):
    """Returns a function (files, bindings) that parses them after Mesh-TensorFlow's defaults."""
    from tests import gin_models

    return gin_models.parse


@pytest.fixture
def write(tmp_path):
    """Returns a function (relative path, text) that writes a temporary file, returning its path."""

    def write_file(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write_file


@pytest.fixture(scope="module")
def eager():
    """Enables eager execution for reading data sets; t5's main and its tests disable it."""
    from tensorflow.python.eager import context

    with context.eager_mode():
        yield


@pytest.fixture(scope="session")
def shared_data():
    """Returns the folder of data that cannot be distributed (PRIMER_SHARED_DATA), or skips."""
    default = ROOT.parent / "shared" / "data"
    path = pathlib.Path(os.environ.get("PRIMER_SHARED_DATA", default))
    if not path.is_dir():
        pytest.skip(f"needs the shared data ({path}); set PRIMER_SHARED_DATA")
    return path


@pytest.fixture(scope="session")
def small_texts(tmp_path_factory):
    """Returns a folder of small text files with the gin file of a tiny model for them."""
    from tests import tiny_text

    return tiny_text.write(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="session")
def small_run(small_texts):
    """Returns a model directory with checkpoints 0, 3, 6 and the best; copy it to modify it.

    The rows of its validation are removed, so that tests evaluate the checkpoints.
    """
    import shutil

    from tests import tiny_text
    from tests.command_lines import run

    options = ("--steps", 6, "--eval_every", 3, "--seed", 5)
    assert run(*tiny_text.train_words(small_texts, small_texts / "model", *options)) == 0
    shutil.rmtree(small_texts / "model" / "eval")
    return small_texts / "model"


@pytest.fixture(scope="session")
def small_held_out(small_texts):
    """Returns the validation documents of `small_texts`, determined without the task."""
    import tensorflow as tf

    from primer.data.sources import text_files

    contents = [path.read_text() for path in sorted(small_texts.glob("*.txt"))]
    with tf.Graph().as_default(), tf.compat.v1.Session() as sess:
        found = [c for c in contents if sess.run(text_files.is_held_out(tf.constant(c), 0.2))]
    assert 0 < len(found) < len(contents)
    return found
