"""Runs of the engine on a mesh that splits weights and activations over both axes."""

import numpy as np

from tests import gin_models
from tests.runtime import tiny

# Experts too: theirs are split over the rows. Microbatches read the weights in a loop.
MODEL = "\n".join(
    f'include "{path}"' for path in gin_models.files("transformer", "swiglu", "switch")
)
SETTINGS = (
    "block = [%attention, %feed_forward, %experts]",
    "num_switch_blocks = 1",
    'MixtureOfExperts.switch_policy_train = "argmax"',
    "MixtureOfExperts.loss_coef = 0.0",
    "capacity_factor_train = 8.0",
    "utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = 32",
    "schedule = 0.05",
)
MESH = ('include "meshes/two_dimensional_2x2.gin"', "utils.run.mesh_shape = @mesh_shape()")


def train(model_dir, steps, *mesh):
    save = (f"utils.run.train_steps = {steps}", "utils.run.save_checkpoints_steps = 2")
    tiny.run(model_dir, *SETTINGS, *save, *mesh, model=MODEL)
    return tiny.variables(model_dir, steps)


def test_a_run_moves_between_meshes(tmp_path):
    """Two steps on 2x2 and two on one device are four on one device, checkpoint by checkpoint."""
    whole = train(tmp_path / "whole", 4)
    half = train(tmp_path / "moved", 2, *MESH)
    moved = train(tmp_path / "moved", 4)
    before = tiny.variables(tmp_path / "whole", 2)
    kernel = "transformer/block_000/layer_001/DenseReluDense/wi_0/kernel"
    assert np.abs(whole[kernel] - before[kernel]).max() > 0.005
    for found, expected in ((half, before), (moved, whole)):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name].shape == value.shape, name
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
