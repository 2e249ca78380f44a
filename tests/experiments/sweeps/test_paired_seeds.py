"""The same seed gives two models the same rows in the same order, another seed other rows."""

import numpy as np
import pytest

from primer.runtime import inputs
from tests import tiny_text
from tests.command_lines import run


@pytest.mark.slow  # Three short trainings.
def test_the_seed_and_not_the_model_decides_the_order_of_data(small_texts, tmp_path, monkeypatch):
    import tensorflow.compat.v1 as tf

    seen = []
    with_iterator = inputs.with_iterator

    def recorded(input_fn):
        features, iterator = with_iterator(input_fn)
        targets = features["targets"]
        record = tf.py_func(
            lambda rows: seen.append(rows.copy()) or np.int32(0), [targets], tf.int32
        )
        with tf.control_dependencies([record]):
            return {**features, "targets": tf.identity(targets)}, iterator

    monkeypatch.setattr(inputs, "with_iterator", recorded)
    rows = {}
    for name, seed in (("primer_ez", 5), ("transformer", 5), ("transformer", 6)):
        seen.clear()
        words = tiny_text.train_words(
            small_texts, tmp_path / f"{name}{seed}", "--steps", 3, "--seed", seed
        )
        words[words.index("primer_ez")] = name
        assert run(*words) == 0
        rows[name, seed] = np.stack(seen)  # [step, batch, length]
    assert rows["primer_ez", 5].shape[0] == 3
    np.testing.assert_array_equal(rows["primer_ez", 5], rows["transformer", 5])
    assert (rows["transformer", 5] != rows["transformer", 6]).any()
