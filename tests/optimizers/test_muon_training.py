"""`primer train` with optimizers/muon.gin: a mesh of four devices has the losses of one device."""

import pytest

from tests import tiny_text
from tests.command_lines import run
from tests.runtime import tiny

STEPS = 6
# The rate is so high that the losses of a few steps differ.
BINDINGS = (
    "learning_rate = 0.02",
    "summaries.every = 1",
    'precision.activation_dtype = "float32"',
)


def losses(texts, model_dir, *more):
    """Returns the loss of each step of a run."""
    options = ["--steps", STEPS, "--seed", 5, "--gin_file", "optimizers/muon.gin"]
    for binding in (*BINDINGS, *more):
        options += ["--gin_param", binding]
    assert run(*tiny_text.train_words(texts, model_dir, *options)) == 0
    found = tiny.scalars(model_dir)["loss"]
    return [found[step] for step in sorted(found)]


@pytest.mark.slow  # A quick one, without the command line, is in test_every_optimizer.py.
@pytest.mark.parametrize("per_head", [False, True])
def test_a_mesh_has_the_losses_of_one_device(per_head, small_texts, tmp_path):
    per_head = f"MuonOptimizer.per_head = {per_head}"
    expected = losses(small_texts, tmp_path / "one", per_head)
    assert len(expected) == STEPS and expected[-1] < expected[0] - 0.1
    mesh = 'mesh_shape.shape = "batch:2,model:2"'
    found = losses(small_texts, tmp_path / "mesh", mesh, per_head)
    assert found == pytest.approx(expected, abs=1e-4)
