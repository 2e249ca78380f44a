"""The README's commands on the TensorFlow 2.15.1 track."""

import pytest
import tensorflow as tf

from tests.test_readme import test_the_commands_of_the_originals_readme  # noqa: F401

pytestmark = [
    pytest.mark.tpu_track,
    pytest.mark.skipif(
        not tf.__version__.startswith("2.15."), reason="needs the TensorFlow 2.15.1 track"
    ),
]
