"""The fixtures of the tests of data."""

from tests.data.fixtures import *  # noqa: F403
