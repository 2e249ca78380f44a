"""The layers compute what the original's layers computed: logits, losses, gradients."""

import numpy as np
import pytest

from tests.layers import helpers


@pytest.mark.parametrize("name", sorted(helpers.ARCHITECTURES))
def test_golden_numbers(name):
    arrays, variables = helpers.golden(name)
    model = helpers.build_model(name)
    evaluated = helpers.call(model, variables, arrays["targets"])
    np.testing.assert_allclose(evaluated["logits"], arrays["logits"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(evaluated["loss"], arrays["loss"], rtol=1e-5)

    trained = helpers.call(model, variables, arrays["targets"], mode="train", gradients=True)
    np.testing.assert_allclose(trained["loss"], arrays["train_loss"], rtol=1e-5)
    expected = helpers.by_prefix(arrays, "gradnorm/")
    assert set(expected) == set(helpers.by_prefix(trained, "gradnorm/"))
    for variable, norm in expected.items():
        np.testing.assert_allclose(
            trained["gradnorm/" + variable], norm, rtol=1e-3, err_msg=variable
        )
