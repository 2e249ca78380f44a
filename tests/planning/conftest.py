"""The fixture that all tests of planning use: gin's search path."""

import pytest


@pytest.fixture(autouse=True)
def search_path(gin_search_path):
    """gin has the search path of a run."""
