"""The settings of the files of gin/optimizers/ reach their optimizers, and those of a run too."""

import numpy as np
import pytest

from primer.gin_config import config_files
from tests import gin_models
from tests.optimizers import optimizer_run, preset

# The settings that distinguish the presets of AdamW, in the order of SETTINGS.
SETTINGS = ("beta1", "beta2", "epsilon", "bias_correction", "corrects_epsilon", "weight_decay")
ADAMW = {
    "adamw": (0.9, 0.95, 1e-8, True, False, 0.1),
    "adamw_gpt_neo": (0.9, 0.95, 1e-8, False, False, 0.1),
    "adamw_bert": (0.9, 0.999, 1e-6, False, False, 0.01),
    "adam_t2t": (0.9, 0.997, 1e-9, True, True, 0.0),
    "adam_lingvo": (0.9, 0.999, 1e-6, True, True, 0.0),
}
CLIPPED = {"adamw", "adamw_gpt_neo", "adamw_bert", "lion", "lamb", "sgd"}
ADAFACTORS = {"adafactor", "adafactor_t2t", "adafactor_lingvo"}


@pytest.mark.parametrize("name", ADAMW)
def test_settings_of_adamw(name):
    optimizer = preset.optimizer(name)(learning_rate=1.0)
    assert tuple(getattr(optimizer, setting) for setting in SETTINGS) == ADAMW[name]


@pytest.mark.parametrize("name", sorted({*ADAMW, *ADAFACTORS, "lion", "lamb", "sgd"}))
def test_clipping(name):
    preset.optimizer(name)
    assert preset.slot("usual_clip_norm") == (1.0 if name in CLIPPED else None)


@pytest.mark.parametrize("name", sorted({*ADAMW, "lion", "lamb", "sgd"}))
def test_the_weight_decay_of_a_run_reaches_every_preset(name):
    make = preset.optimizer(name, ["weight_decay = 0.25"])
    assert make(learning_rate=1.0).weight_decay == 0.25


def test_presets_do_not_mix():
    """A later file leaves nothing of an earlier one in the optimizer."""
    files = [config_files.gin_file("optimizers", n) for n in ("adamw_bert", "adam_t2t", "adamw")]
    gin_models.parse([config_files.MODEL_DEFAULTS, *files])
    optimizer = preset.configured()(learning_rate=1.0)
    assert tuple(getattr(optimizer, setting) for setting in SETTINGS) == ADAMW["adamw"]


@pytest.mark.parametrize("name", preset.PRESETS)
def test_the_learning_rate_reaches_every_update(name):
    """GPT-Neo's Adafactor ignores its schedule; the first update of ours is in proportion to it."""
    problem = optimizer_run.problem
    moved = []
    for rate in (0.01, 0.02):
        (state,) = optimizer_run.run(
            preset.optimizer(name),
            problem.weights(),
            problem.DIMS,
            problem.gradients()[:1],
            [rate],
        )
        moved.append({n: state[n] - value for n, value in problem.weights().items()})
    for n in problem.DIMS:
        assert np.abs(moved[0][n]).max() > 0
        np.testing.assert_allclose(moved[1][n], 2 * moved[0][n], rtol=1e-2, atol=1e-6, err_msg=n)
