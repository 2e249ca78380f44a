"""The original's models compute what the original computed: logits, losses, gradients.

Each golden file was made with the original's layers and gin files; here the published model of
that name gets its variables, and its sizes from their shapes. PRIMER_PARITY_DIR names another
folder with files of the same names.
"""

import numpy as np
import pytest

from tests import gin_models, slow
from tests.layers import helpers

# Deterministic routing, as in the golden models.
ARGMAX = (
    'MixtureOfExperts.switch_policy_train = "argmax"',
    'MixtureOfExperts.switch_policy_eval = "argmax"',
)


# Golden files that add only an activation, or a combination of parts that others test.
SLOW = ["primer_as_released", "switch_transformer", "synthesizer_squared_relu"]
SLOW += [f"transformer_{name}" for name in ("gelu", "swish", "reglu", "squared_relu")]


def sizes_of(variables):
    """The sizes of a golden model, as gin bindings: gated units there are as wide as plain ones."""
    shapes = {name: value.shape for name, value in variables.items()}

    def found(ending):
        return [shape for name, shape in shapes.items() if name.endswith(ending)]

    blocks = {name.split("/")[1] for name in shapes if name.startswith("transformer/block_")}
    heads = min(shape[0] for shape in found("/relative_attention_bias"))
    hidden = (found("DenseReluDense/wi/kernel") + found("DenseReluDense/wi_0/kernel"))[0][-1]
    experts = found("MoE1D/wi/kernel") or [[1]]
    sizes = {
        "d_model": shapes["transformer/embedding"][1],
        **dict.fromkeys(("num_layers", "num_switch_blocks", "num_evolved_blocks"), len(blocks)),
        "num_heads": heads,
        "d_kv": found("/q")[0][-1] // heads,
        "d_ff": hidden,
        "d_ff_gated": hidden,
        "num_experts": experts[0][0],
    }
    return tuple(f"{name} = {size}" for name, size in sizes.items())


@pytest.mark.parametrize("name", slow.all_but(lambda name: name not in SLOW, gin_models.goldens()))
def test_golden_numbers(name):
    arrays, variables = helpers.golden(name)
    bindings = sizes_of(variables) + (ARGMAX if "switch" in name else ())
    vocabulary_size = len(variables["transformer/embedding"])
    model = gin_models.build(gin_models.golden_files(name), bindings, vocabulary_size)
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
