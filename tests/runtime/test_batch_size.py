"""The number of rows in a batch of training."""

import gin
import mesh_tensorflow.transformer.utils  # noqa: F401  (registers utils.run with gin)
import pytest

from primer.errors import UsageError
from primer.runtime import batch_size


def bind(size, length=32, **settings):
    with gin.unlock_config():
        gin.bind_parameter("utils.run.batch_size", size)
        gin.bind_parameter("utils.run.sequence_length", length)
        for name, value in settings.items():
            gin.bind_parameter(f"utils.run.{name}", value)


def test_tokens_are_divided_by_the_longest_feature():
    bind(("tokens_per_batch", 256), {"inputs": 16, "targets": 32})
    assert batch_size.rows_per_batch() == 8


def test_tokens_per_replica_are_multiplied_by_the_replicas():
    layout = {"mesh_shape": "rows:4", "layout_rules": "batch:rows"}
    bind(("tokens_per_replica", 64), {"targets": 32}, **layout)
    assert batch_size.rows_per_batch() == 4 * 2


def test_each_member_of_an_ensemble_has_its_own_rows():
    bind(6, ensemble_inputs=3)
    assert batch_size.rows_per_batch() == 18


@pytest.mark.parametrize("length", [48, {"inputs": 1, "targets": 48}])
def test_tokens_that_do_not_fill_rows_are_an_error(length):
    bind(("tokens_per_batch", 256), length)
    with pytest.raises(UsageError, match="use a multiple of 48"):
        batch_size.check_tokens_fill_rows("train")
    with pytest.raises(UsageError, match="use a multiple of 48"):
        batch_size.rows_per_batch()


def test_only_training_is_checked():
    bind(("tokens_per_batch", 256), 48)
    batch_size.check_tokens_fill_rows("perplexity_eval")


def test_sequences_always_fill_rows():
    bind(("sequences_per_batch", 5), 48)
    batch_size.check_tokens_fill_rows("train")
