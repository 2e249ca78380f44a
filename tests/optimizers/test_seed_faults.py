"""Faults of other systems' optimizers that ours do not have.

Tensor2Tensor's lazy Adam is in test_adamw.py, GPT-Neo's decayed norm in test_weight_decay.py, its
Adafactor that ignores the schedule in test_presets.py.
"""

import functools

import numpy as np
import pytest
from mesh_tensorflow import optimize

from primer.optimizers.adamw import AdamWOptimizer
from tests.optimizers import optimizer_run, preset, problem


@pytest.mark.parametrize("name", ["adafactor", "adafactor_t2t", "adafactor_lingvo"])
def test_the_weight_decay_is_not_adafactors_decay_rate(name):
    """GPT-Neo passes the one as the other. Adafactor has no weight decay."""
    plain = optimizer_run.run_problem(preset.optimizer(name))[-1]
    with_decay = optimizer_run.run_problem(preset.optimizer(name, ["weight_decay = 0.3"]))[-1]
    assert any("_slot_v" in n for n in plain)
    for n, value in plain.items():
        np.testing.assert_array_equal(with_decay[n], value, err_msg=n)


def test_mesh_tensorflows_adam_is_ours_without_bias_correction():
    """It corrects no moment, which is an option here, and decays vectors unless told otherwise."""
    theirs = functools.partial(optimize.AdamWeightDecayOptimizer, weight_decay_rate=0.01)
    ours = functools.partial(
        AdamWOptimizer,
        weight_decay=0.01,
        decays_vectors=True,
        beta2=0.999,
        epsilon=1e-6,
        bias_correction=False,
    )
    optimizer_run.check(ours, weights_of(theirs), rounded=2)


def test_the_preset_of_bert_does_not_decay_vectors():
    """BERT excludes norms and biases by name; here their shape decides."""
    theirs = functools.partial(
        optimize.AdamWeightDecayOptimizer,
        weight_decay_rate=0.01,
        exclude_from_weight_decay=["norm", "bias"],
    )
    optimizer_run.check(preset.optimizer("adamw_bert"), weights_of(theirs), rounded=2)


def weights_of(make_optimizer):
    """Returns the weights of `problem` after each step, without the optimizer's state."""
    return [{n: s[n] for n in problem.DIMS} for s in optimizer_run.run_problem(make_optimizer)]
