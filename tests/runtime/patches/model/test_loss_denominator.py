"""The loss over the tokens that have one, in whole batches, in microbatches and in ensembles."""

import numpy as np
import pytest

from tests.layers import helpers

TARGETS = np.array([[5, 6, 7, 0, 0, 0], [8, 9, 10, 11, -3, 12]])
TOKENS = 8


def loss(denominator, targets=TARGETS, **model):
    settings = {"loss_denominator": denominator, "z_loss": 0.0, **model}
    made = helpers.build_model("primer_ez", model=settings, num_layers=1)
    variables = helpers.random_variables(made)
    return helpers.call(made, variables, targets, sequence_id=None)["loss"]


@pytest.mark.parametrize("model", [{}, {"label_smoothing": 0.1}, {"ensemble": 2}], ids=str)
def test_the_sum_is_divided_by_the_tokens(model):
    """Of an ensemble the sum of the models' losses: each has the gradient that it has alone."""
    total = loss(1.0, **model)
    np.testing.assert_allclose(loss("tokens", **model), total / TOKENS, rtol=1e-6)
    np.testing.assert_allclose(loss(None, **model), total / TARGETS.size, rtol=1e-6)


def test_a_batch_of_padding_has_no_loss():
    assert loss("tokens", np.zeros([2, 6], np.int64)) == 0.0


def test_another_word_is_an_error():
    with pytest.raises(ValueError, match="loss_denominator = 'words': expected \"tokens\""):
        loss("words")
