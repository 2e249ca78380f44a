"""Fixtures that build the sources once for all tests of this folder."""

import pytest

from tests.packaging import source_tree


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    return source_tree.copy_sources(tmp_path_factory.mktemp("packaging") / "primer")


@pytest.fixture(scope="session")
def wheel(sources):
    return source_tree.build(sources, "build_wheel", sources.parent / "wheel")


@pytest.fixture(scope="session")
def editable_wheel(sources, wheel):
    """Builds after `wheel`: two builds must not write the same folder at the same time."""
    return source_tree.build(sources, "build_editable", sources.parent / "editable")
