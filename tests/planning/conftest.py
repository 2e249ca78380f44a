"""What the tests of planning share: gin's search path."""

import pytest


@pytest.fixture(autouse=True)
def found(gin_search_path):
    """gin looks where a run does."""
