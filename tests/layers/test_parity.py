"""The original's models compute what the original computed: logits, losses, gradients.

Each golden file was made with the original's layers and gin files; here the published model of that
name, at the tiny size, gets its variables.
"""

import numpy as np
import pytest

from tests import gin_models, slow
from tests.layers import helpers

# The golden models: gated units as wide as plain ones, and no chance in the routing.
SETTINGS = ("d_ff_gated = 64",)
ARGMAX = (
    'MixtureOfExperts.switch_policy_train = "argmax"',
    'MixtureOfExperts.switch_policy_eval = "argmax"',
)


# An activation or a combination of what the others have, alone.
SLOW = ["primer_as_released", "switch_transformer", "synthesizer_squared_relu"]
SLOW += [f"transformer_{name}" for name in ("gelu", "swish", "reglu", "squared_relu")]


@pytest.mark.parametrize("name", slow.all_but(lambda name: name not in SLOW, gin_models.goldens()))
def test_golden_numbers(name):
    arrays, variables = helpers.golden(name)
    bindings = SETTINGS + (ARGMAX if "switch" in name else ())
    model = gin_models.build(gin_models.golden_files(name), bindings)
    evaluated = helpers.call(model, variables, arrays["targets"])
    np.testing.assert_allclose(evaluated["logits"], arrays["logits"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(evaluated["loss"], arrays["loss"], rtol=1e-5)

    trained = helpers.call(model, variables, arrays["targets"], mode="train", gradients=True)
    np.testing.assert_allclose(trained["loss"], arrays["train_loss"], rtol=1e-5)
    expected = helpers.by_prefix(arrays, "gradnorm/")
    assert set(expected) == set(helpers.by_prefix(trained, "gradnorm/"))
    for variable, norm in expected.items():
        np.testing.assert_allclose(
            trained["gradnorm/" + variable], norm, rtol=1e-3, atol=1e-7, err_msg=variable
        )


def test_every_golden_file_has_its_model():
    assert len(gin_models.goldens()) >= 15
    for name in gin_models.goldens():
        assert gin_models.golden_files(name)
