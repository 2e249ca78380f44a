"""The slots of norms and stacks reach every norm of the stack."""

import re

import numpy as np
import pytest
from mesh_tensorflow.transformer import transformer

from primer.planning import run_graph
from tests import gin_models
from tests.layers import helpers

NORMS = (
    "sublayer_true_layer_norm",
    "sublayer_rms_norm",
    "sublayer_primer_norm",
    "sublayer_uncentered_primer_norm",
    "sublayer_scale_norm",
)
STACKS = (
    "PreNormLayerStack",
    "PostNormLayerStack",
    "SandwichNormLayerStack",
    "PrePostNormLayerStack",
    "ParallelLayerStack",
)


def build(load, *bindings, mode="eval"):
    load(gin_models.files("transformer"), ["num_layers = 2", *bindings])
    return run_graph.build_forward(97, mode)


def variables(load, *bindings):
    _, graph = build(load, *bindings)
    return {v.name.partition("/")[2]: v.shape.to_integer_list for v in graph.trainable_variables}


@pytest.mark.parametrize("norm", NORMS)
def test_epsilon(norm, load):
    """A row of +-1 has the variance 1: each norm divides it by the root of 1 + epsilon."""
    load(gin_models.files("transformer"), [f"norm = @{norm}", "norm_epsilon = 3.0"])
    model = transformer.make_layer_stack()
    with helpers.bench() as b:
        x = b.put(np.array([[1.0, -1.0] * 8], np.float32), "length", "d_model")
        context = helpers.layer_context(b, x)
        values = [s(x, model, context) for s in model._sublayers_final if "norm" in s.__name__]
        (y,) = b.run(dict(enumerate(values))).values()
    np.testing.assert_allclose(y[0], [0.5, -0.5] * 8, rtol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("epsilon", ["-0.5", "0", "'small'", "None"])
def test_an_invalid_epsilon_is_one_error(norm, epsilon, load):
    expected = re.escape(
        f"{norm}.epsilon = {epsilon}: expected a number above 0, such as 1e-6 (the"
    )
    with pytest.raises(ValueError, match=f"^{expected}"):
        build(load, f"norm = @{norm}", f"norm_epsilon = {epsilon}", "num_layers = 1")


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_has_the_norms_of_its_order(stack, load):
    names = variables(load, f"layer_stack = @{stack}", "norm = @sublayer_rms_norm")
    scales = [name for name in names if name.endswith("rms_norm/scale")]
    assert len(scales) == {"PostNormLayerStack": 4, "SandwichNormLayerStack": 9}.get(stack, 5)


def test_token_shift_adds_its_variables_only(load):
    plain, shifted = (variables(load, f"token_shift = {value}") for value in (False, True))
    assert shifted == {**plain, "token_shift/gate": [12], "token_shift/lambda": []}


def test_layers_of_kind_none_are_left_out(load):
    """GPT-Neo's fourth kind: a block without attention, and not x + x."""
    model, _ = build(load, 'attention_kinds = ["global", "none"]')
    names = [layer.name for layer in model.layer_stack.layers]
    assert names == ["block_000/layer_000", "block_000/layer_001", "block_001/layer_001"]
