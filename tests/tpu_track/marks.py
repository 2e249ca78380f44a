"""The marks of tests that run only on the TensorFlow 2.15.1 track."""

import pytest
import tensorflow as tf

TPU_TRACK = [
    pytest.mark.tpu_track,
    pytest.mark.skipif(
        not tf.__version__.startswith("2.15."), reason="needs the TensorFlow 2.15.1 track"
    ),
]
