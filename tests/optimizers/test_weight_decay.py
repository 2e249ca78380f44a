"""Which weights decay in the models of our gin files, and which exclusions are refused."""

import functools
import re

import numpy as np
import pytest

from primer import optimizers
from primer.errors import UsageError
from primer.gin_config import config_files
from primer.planning import run_graph
from tests import gin_models, slow
from tests.optimizers import optimizer_run, problem

OURS = ["AdamWOptimizer", "LambOptimizer", "LionOptimizer", "SgdMomentumOptimizer"]
NORM_OF_THE_STACK = "transformer/true_layer_norm/layer_prepostprocess/layer_norm/layer_norm_scale"
# Norms, biases and taps of convolutions. Relative biases are a table of buckets.
VECTORS = re.compile(r"norm|_dconv/|/depthwise_|(?<!relative_attention)[/_]bias$")


def decays(architecture):
    """Returns {name of a weight: whether our optimizers decay it} of a tiny model."""
    files = config_files.composition_files(architecture, "gelu", "tiny")
    gin_models.parse(files, gin_models.fewest_block_bindings(architecture))
    _, graph = run_graph.build_forward(97)
    optimizer = optimizers.AdamWOptimizer(1.0, weight_decay=0.1)
    return {var.name: optimizer.decays(var) for var in graph.trainable_variables}


@pytest.mark.parametrize("architecture", slow.all_but(["gpt_neo"], gin_models.BASES))
def test_matrices_and_tables_decay_and_vectors_do_not(architecture):
    """By the names of weights, which our optimizers do not read."""
    found = decays(architecture)
    norms = {name for name in found if "norm" in name}
    vectors = {name for name in found if VECTORS.search(name)}
    assert norms and norms <= vectors
    assert {name for name, does in found.items() if not does} == vectors
    assert found["transformer/embedding"]


def test_the_last_norm_of_gpt_neo_does_not_decay():
    """GPT-Neo excludes names with "norm" and "bias", and so its `ln_f` decays."""
    assert decays("gpt_neo")[NORM_OF_THE_STACK] is False


@pytest.mark.parametrize("name", OURS)
def test_decay_is_left_out_where_a_name_is_excluded(name):
    """Without gradients only decay moves a weight."""
    make = functools.partial(
        getattr(optimizers, name), weight_decay=0.5, exclude_from_weight_decay=["wi/", "q$"]
    )
    weights = problem.weights()
    zeros = [{n: np.zeros_like(value) for n, value in weights.items()}]
    (state,) = optimizer_run.run(make, weights, problem.DIMS, zeros, [0.1])
    moved = {n for n, value in weights.items() if np.any(state[n] != value)}
    assert moved == {"embedding", "layer/wo/kernel"}
    # LAMB's step is as long as the weight, in its direction.
    share = 0.9 if name == "LambOptimizer" else 0.95
    for n in moved:
        np.testing.assert_allclose(state[n], share * weights[n], rtol=1e-5)


GROUPS = ("learning_rate_groups = [('embedding', 0.1)]",)


@pytest.mark.parametrize(
    ("optimizer", "bindings"),
    slow.all_but(
        [("adamw_gpt_neo", GROUPS)],
        [("adamw_gpt_neo", GROUPS), *((name, ()) for name in ("adamw", "lamb", "lion", "sgd"))],
    ),
)
def test_a_run_refuses_an_exclusion_that_matches_nothing(optimizer, bindings, load):
    """Each group of rates has an optimizer of its own, whose check sees all names.

    The model is whole: names of blocks that a check leaves out are unknown.
    """
    bindings = (*bindings, "num_layers = 1")
    name = {"lamb": OURS[1], "lion": OURS[2], "sgd": OURS[3]}.get(optimizer, OURS[0])
    setting = f"{name}.exclude_from_weight_decay"
    files = [*config_files.composition_files("transformer", "relu", "tiny"), "run/smoke.gin"]
    files.append(config_files.gin_file("optimizers", optimizer))
    load(files, (*bindings, f'{setting} = ["positional_embeding"]'))
    with pytest.raises(UsageError, match=f"^{setting}: 'positional_embeding' is found in the name"):
        run_graph.build_step(97)
    load(files, (*bindings, f'{setting} = ["embedding", "wi/kernel$"]'))
    run_graph.build_step(97)
