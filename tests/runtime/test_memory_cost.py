"""The FLOPs of training with memory count what queries see of it, and its projections."""

import pytest

from primer.runtime import model_function
from tests import gin_models

LENGTH, MEMORY = 16, 48
D_MODEL, HEADS = 32, 32  # All heads together are as wide as the model.


def forward(*bindings):
    files = gin_models.files("transformer")
    model = gin_models.build(files, ["num_layers = 1", "num_dense_blocks = 1", *bindings])
    return model_function.of_model(model, None, LENGTH).cost.flops["block_000/layer_000"]


def test_attention_to_carried_memory():
    plain = forward()
    memory = f"memory_length = {MEMORY}"
    carried = forward(memory, "carry_memory = True")
    # For each query the products with M more keys and values; for each position of memory, of which
    # there are M / length for a token, the projections of keys and values.
    logits = 2 * 2 * MEMORY * HEADS
    projections = 2 * 2 * D_MODEL * HEADS * MEMORY / LENGTH
    assert carried - plain == pytest.approx(logits + projections)
    assert forward(memory) == plain


def test_primer_check_counts_memory():
    """As training does."""
    from primer.planning import check

    files = gin_models.files("transformer")
    memory = [f"memory_length = {MEMORY}", "carry_memory = True"]
    lengths = f"utils.run.sequence_length = {{'inputs': 1, 'targets': {LENGTH}}}"
    one = ["num_layers = 1", "num_dense_blocks = 1", lengths]
    costs = [check.check_gin_files([*files], [*one, *more], 97).cost.flops for more in ([], memory)]
    layer = "block_000/layer_000"
    difference = forward(*memory) - forward()
    assert costs[1][layer] - costs[0][layer] == pytest.approx(difference)
