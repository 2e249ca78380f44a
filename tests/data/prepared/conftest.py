"""The fixtures of the tests of prepared data: a corpus, prepared once for all of them."""

import pathlib

import pytest

from primer.data.sources import sotu
from tests.data import caches
from tests.data.prepared import helpers


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A folder with the beginnings of presidential addresses, a file each."""
    folder = tmp_path_factory.mktemp("corpus")
    for number, path in enumerate(sotu.paths("train")[: helpers.DOCUMENTS]):
        text = pathlib.Path(path).read_text()[: 2000 + 50 * number]
        (folder / f"{number:03}.txt").write_text(text)
    return folder


@pytest.fixture
def corpus_settings(corpus):
    """gin's bindings of the corpus; the vocabulary is that of the package."""
    helpers.bind(corpus)


@pytest.fixture(scope="session")
def prepared(corpus, tmp_path_factory):
    """(output folder, manifest) of the prepared corpus; tests do not change the folder."""
    output = tmp_path_factory.mktemp("prepared")
    helpers.bind(corpus)
    return output, helpers.make(output)


@pytest.fixture
def cache(prepared, corpus_settings):
    """The prepared corpus as a run finds it (--additional_task_cache_dirs)."""
    with caches.named(helpers.TASK, prepared[0]):
        yield prepared[0] / helpers.TASK
