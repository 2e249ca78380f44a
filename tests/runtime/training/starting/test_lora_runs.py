"""Training LoRA from another run's weights: on one device, on a mesh, and merged again."""

import gin
import numpy as np
import pytest

from primer.errors import UsageError
from primer.parametrization import lora_weights, trained_weights
from primer.runtime.training.starting import settings
from tests.runtime import tiny

LORA = (
    "import primer.parametrization.lora",
    "lora.rank = 4",
    "lora.targets = ['q', 'v', 'wi', 'wo']",
    "utils.run.train_steps = 3",
    "dropout_rate = 0.0",
)
MESH = (
    "utils.run.mesh_shape = 'batch:1,model:2'",
    "utils.run.mesh_devices = ['', '']",
    "utils.run.layout_rules = 'batch:batch,d_ff:model,heads:model,vocab:model'",
)


def train(trained, model_dir, *bindings):
    tiny.run(model_dir, f"utils.run.init_checkpoint = '{trained}'", *bindings)
    return tiny.variables(model_dir, 3)


@pytest.fixture(scope="module")
def tuned(trained, tmp_path_factory):
    """The directory of a run with LoRA."""
    folder = tmp_path_factory.mktemp("tuned")
    train(trained, folder, *LORA)
    return folder


def test_only_the_factors_and_their_state_are_trained(trained, tuned, capfd):
    before, after = tiny.variables(trained, 6), tiny.variables(tuned, 3)
    base = [name for name in before if "_slot_" not in name and before[name].ndim]
    tiny.assert_equal_variables(*({n: v[n] for n in base} for v in (before, after)))
    factors = [name for name in after if lora_weights.is_factor(name)]
    assert len(factors) == 8 and all(after[name].any() for name in factors)
    state = [name for name in after if "_slot_" in name]
    assert state and all("_lora_" in name for name in state)
    assert set(after) == {*base, *factors, *state, "global_step"}


def test_a_mesh_trains_the_same_factors(trained, tuned, tmp_path):
    one, two = tiny.variables(tuned, 3), train(trained, tmp_path, *LORA, *MESH)
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_it_resumes_with_its_lora_only_and_starts_others_with_it_merged(tuned, tmp_path, capfd):
    with pytest.raises(SystemExit):
        tiny.run(tuned, "utils.run.train_steps = 4")
    assert "was trained with lora_rank = 4, and the model has no LoRA" in capfd.readouterr().err
    found = train(tuned, tmp_path, "utils.run.train_steps = 3")
    assert "with the LoRA of transformer/block_000" in capfd.readouterr().err
    assert not any("_lora_" in name for name in found)
    start, source = tiny.variables(tmp_path, 0), tiny.variables(tuned, 3)
    merged = lora_weights.merged({n: v for n, v in source.items() if "_slot_" not in n}, alpha=8)
    for name in merged.keys() - {"global_step"}:
        np.testing.assert_array_equal(start[name], merged[name], err_msg=name)
    assert any((merged[name] != source[name]).any() for name in merged)


def test_frozen_weights_without_lora(trained, tmp_path, capfd):
    after = train(trained, tmp_path, "trained_weights.frozen = ['embedding', '/wi/']", *LORA[3:])
    before = tiny.variables(trained, 6)
    frozen = [n for n in before if ("embedding" in n or "/wi/" in n) and "_slot_" not in n]
    others = [n for n in before if n not in frozen and "_slot_" not in n and before[n].ndim]
    assert len(frozen) >= 2
    tiny.assert_equal_variables(*({n: v[n] for n in frozen} for v in (before, after)))
    assert all((before[n] != after[n]).any() for n in others)
    assert not any("_slot_" in n and n.startswith(tuple(frozen)) for n in after)
    assert "trained, the others frozen" in capfd.readouterr().err


def test_patterns_of_no_weight_and_nothing_to_train_are_refused():
    gin.parse_config("trained_weights.trainable = ['nothing']")
    with pytest.raises(UsageError, match="'nothing' is found in the name of no weight"):
        trained_weights.check(["a/q"])
    gin.parse_config("trained_weights.trainable = ['q']\ntrained_weights.frozen = ['a']")
    with pytest.raises(UsageError, match="leave no weight to train"):
        trained_weights.check(["a/q"])
    with pytest.raises(UsageError, match="trainable = 'q': expected a list"):
        trained_weights.trained_weights(trainable="q")


@pytest.mark.parametrize("values", [{"skip": "q"}, {"skip": ["("]}, {"grow": "x"}])
def test_settings_of_a_start_without_a_meaning_are_refused(values):
    with pytest.raises(UsageError, match="initial_weights"):
        settings.initial_weights(**values)
