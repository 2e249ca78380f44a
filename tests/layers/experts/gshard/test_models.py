"""GShard's model with experts: decoding, causality, packed rows and meshes of the whole model.

`tests/layers/test_every_composition.py` has Primer with these experts.
"""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers import half_depth
from tests import gin_models, slow
from tests.layers import composition_checks as checks
from tests.layers import helpers

BINDINGS = gin_models.fewest_block_bindings("gshard", "gshard_experts")
FILES = tuple(gin_models.files("gshard", "geglu", "gshard_experts"))
# Four slots of an expert for a row of 8 tokens with two choices each.
MODEL = checks.Case(FILES, (*BINDINGS, "capacity_factor_train = 1.0"))
# Rows of a batch, experts and weights over one axis, or over both; and each thing over one.
MESHES = {
    **checks.OTHER_MESHES,
    "2x2": checks.LARGER_MESH,
    "2x2, weights over one axis": {
        "mesh_shape": "rows:2,columns:2",
        "layout": "batch:rows,experts:rows,heads:columns,expert_hidden:columns,vocab:columns",
    },
}


def test_steps_equal_teacher_forcing(tmp_path):
    checks.check_steps(MODEL, tmp_path, prompts=([0, 2, 5, 1],))


@pytest.mark.slow
def test_steps_on_a_mesh_equal_teacher_forcing(tmp_path):
    checks.check_steps(MODEL, tmp_path, prompts=([0, 2, 5, 1],), **MESHES["2x2"])


@pytest.mark.slow
def test_causality_and_packing():
    checks.check_causality(MODEL)
    checks.check_packing(MODEL)


@pytest.mark.parametrize("mesh", slow.all_but(["2x2"], list(MESHES)))
def test_mesh_equals_one_device(mesh):
    """Logits, the loss with its balance loss, and gradients."""
    checks.check_mesh(MODEL, MESHES[mesh])


def test_initial_values_are_lingvos():
    """Router and experts are uniform with the variance 1 / fan-in, as dense layers are."""
    with helpers.bench() as b:
        ids = b.put(np.ones([2, 4], np.int32), "batch", "length")
        MODEL.build().call_simple(inputs=ids, targets=ids, compute_loss=False, mode="eval")
        with tf.Session() as session:
            helpers.initialize(session, None)
            found = session.run({v.op.name: v for v in tf.global_variables()})
    kernels = {name: v for name, v in found.items() if "MoE1D" in name or "DenseRelu" in name}
    assert len(kernels) == 4 + 3
    for name, value in kernels.items():
        bound = np.sqrt(3 / value.shape[-2])
        assert 0.9 * bound < np.abs(value).max() <= bound, name
        np.testing.assert_allclose(value.std(), bound / np.sqrt(3), rtol=0.1, err_msg=name)


def test_an_odd_number_of_layers_is_an_error():
    assert half_depth(num_dense_blocks=6) == 3
    with pytest.raises(
        ValueError, match="num_layers = 3: expected an even number .*gshard_experts"
    ):
        gin_models.build(FILES, ["num_layers = 3"])
