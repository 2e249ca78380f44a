"""A trained tiny model that the tests of the runtime read."""

import pytest

from tests.runtime import tiny


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A model directory with the checkpoints 0, 3 and 6; tests do not change them."""
    model_dir = tmp_path_factory.mktemp("trained")
    tiny.run(model_dir)
    return model_dir
