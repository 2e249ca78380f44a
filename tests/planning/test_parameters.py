"""Parameters are counted as the shapes of a Transformer's weights say."""

import pytest

from primer.gin_config import config_files
from primer.planning import parameters
from tests import gin_models

FILES = config_files.composition_files("transformer", "relu", "tiny")
SIZES = ["d_model = 16", "d_ff = 24", "num_heads = 2", "d_kv = 8", "num_layers = 3"]


@pytest.mark.parametrize("ids, rows", [(97, 128), (128, 128), (129, 256)])
def test_a_transformer_has_the_parameters_of_its_equations(ids, rows):
    gin_models.parse(FILES, SIZES)
    shapes = parameters.parameter_shapes(ids)
    assert shapes["transformer/embedding"] == (rows, 16)
    projections = 4 * 16 * (2 * 8)  # Queries, keys, values, outputs.
    feed_forward = 2 * 16 * 24
    norms = {name: shape for name, shape in shapes.items() if len(shape) == 1}
    bias = {name: shape for name, shape in shapes.items() if "relative_attention_bias" in name}
    matrices = rows * 16 + 3 * (projections + feed_forward)
    rest = sum(size for (size,) in norms.values())
    rest += sum(a * b for a, b in bias.values())
    assert parameters.count_parameters(ids) == matrices + rest
    assert len(bias) == 1, "shared by all layers"
