"""Our presets of Mesh-TensorFlow's Adafactor equal optax where the settings coincide."""

import optax
import pytest

from tests import slow
from tests.optimizers import optax_run, optimizer_run, preset, problem

# Preset -> the smallest dimension that optax factors.
FACTORED_FROM = {"adafactor": 128, "adafactor_lingvo": 128, "adafactor_t2t": 1}


@pytest.mark.parametrize(("mesh", "layout"), optimizer_run.MESHES)
@pytest.mark.parametrize("name", slow.all_but(["adafactor", "adafactor_t2t"], FACTORED_FROM))
def test_presets_equal_optax(name, mesh, layout):
    def theirs(rate):
        return optax.adafactor(rate, min_dim_size_to_factor=FACTORED_FROM[name])

    optimizer_run.check(preset.optimizer(name), optax_run.run(theirs), mesh, layout)


@pytest.mark.parametrize("name", FACTORED_FROM)
def test_tensor2tensor_factors_small_weights_too(name):
    state = optimizer_run.run_problem(preset.optimizer(name))[0]
    factored = {n.removesuffix("_slot_vr") for n in state if n.endswith("_slot_vr")}
    matrices = set(problem.DIMS) - set(problem.VECTORS)
    assert factored == (matrices if name == "adafactor_t2t" else set())
