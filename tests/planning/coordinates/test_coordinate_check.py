"""With base_width the outputs of layers keep their sizes at every width in training."""

import numpy as np
import pytest

import t5_imports  # noqa: F401  Registers what gin files name.
from primer.errors import UsageError
from primer.gin_config import config_files
from primer.planning.coordinates.coordinate_check import check_coordinates

ADAMW = ["optimizers/adamw.gin"]
RATE = "learning_rate = 0.01"


def check(*params, architecture="transformer", optimizer=ADAMW, widths=(32, 64, 128), **settings):
    files = config_files.composition_files(architecture, "relu", "tiny") + optimizer
    settings = {"steps": 3, "seeds": 2, "vocabulary_size": 256} | settings
    return check_coordinates(files, params, widths, **settings)


def verdicts(result):
    return {output.label: output.verdict for output in result.outputs}


def changes(result, part):
    """The slopes of the changes after the last step of the outputs of one part."""
    return [output.change_slope[-1] for output in result.outputs if output.part == part]


def test_adamw_is_flat_with_a_base_width_and_grows_without():
    found = check(RATE, "base_width = 32")
    assert found.is_flat, verdicts(found)
    assert found.outputs[-1].size_slope[0] == pytest.approx(-0.5, abs=0.05)  # Logits at first.
    grown = check(RATE)
    assert not grown.is_flat
    assert min(changes(grown, "attention") + changes(grown, "feed-forward")) > 0.5
    assert grown.outputs[-1].size_slope[0] == pytest.approx(0.0, abs=0.05)


def test_the_outputs_are_those_of_all_layers_in_order():
    found = check(steps=1, seeds=1, widths=(16, 32))
    assert [output.label for output in found.outputs] == [
        "embedding",
        "block_000/layer_000 MultiHeadAttention",
        "block_000/layer_001 DenseReluDense",
        "block_001/layer_000 MultiHeadAttention",
        "block_001/layer_001 DenseReluDense",
        "block_000/layer_000 residual stream",
        "block_000/layer_001 residual stream",
        "block_001/layer_000 residual stream",
        "final norm",
        "logits",
    ]
    assert (found.optimizer, found.learning_rate) == ("@AdamWOptimizer", 6e-4)
    # A norm of layers gives values of variance 1.
    final = found.outputs[-2].size[0]
    np.testing.assert_allclose(final, np.sqrt(2 / np.pi), rtol=0.05)
    # Adam's first update of each entry is learning_rate, from the first step on.
    np.testing.assert_allclose(found.outputs[0].change[1], 6e-4, rtol=0.1)


def test_seeds_draw_other_weights_and_repeat():
    def sizes(seeds):
        found = check("num_layers = 1", steps=1, seeds=seeds, widths=(16, 32)).outputs
        return np.array([output.size for output in found])

    one, two, again = sizes(1), sizes(2), sizes(1)
    np.testing.assert_allclose(one, again, rtol=1e-6)
    assert np.all(np.abs(two - one) > 1e-6)
    assert np.all(np.abs(two / one - 1) < 0.5)


TIED, UNTIED = ("transformer", True), ("primer", False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "optimizer", "params"),
    [
        pytest.param(TIED, ADAMW, [RATE], id="adamw"),
        pytest.param(UNTIED, ADAMW, [RATE], id="adamw-untied"),
        # A lower rate: 0.01 moves embeddings of this deviation by half of it in four steps, and two
        # seeds are then too few.
        pytest.param(
            TIED, ADAMW, ["learning_rate = 0.002", "weight_stddev = 0.05"], id="adamw-stddev"
        ),
        pytest.param(UNTIED, [], [], id="adafactor"),
        pytest.param(
            TIED, [], ["AdafactorOptimizer.multiply_by_parameter_scale = False"], id="unscaled"
        ),
        pytest.param(UNTIED, [], ["optimizer = @SgdOptimizer", "learning_rate = 0.5"], id="sgd"),
    ],
)
def test_training_carries_over_with_a_base_width_alone(model, optimizer, params):
    architecture, tied = model
    settings = {
        "architecture": architecture,
        "optimizer": optimizer,
        "widths": (32, 64, 128, 256),
        "steps": 4,
    }
    params = [*params, f"tied_embeddings = {tied}"]
    found = check(*params, "base_width = 32", **settings)
    assert found.is_flat, verdicts(found)
    assert not check(*params, **settings).is_flat


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("lion", ["learning_rate = 0.003"]),
        ("lamb", ["learning_rate = 0.01"]),
        ("sgd", ["learning_rate = 0.5"]),
        ("muon", ["learning_rate = 0.01"]),
        ("muon", ["learning_rate = 0.02", 'MuonOptimizer.update_scale = "spectral"']),
        ("muon", ["learning_rate = 0.02", "MuonOptimizer.per_head = True"]),
    ],
)
def test_it_carries_over_with_other_optimizers(name, params):
    files = [config_files.gin_file("optimizers", name)]
    found = check(*params, "base_width = 32", optimizer=files, steps=4)
    assert found.is_flat, verdicts(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "params"),
    [
        ("primer_full", ["base_width = 24"]),
        ("evolved_transformer", ["base_width = 32"]),
        ("synthesizer", ["base_width = 32"]),
        ("gemma2", ["base_width = 32", "num_memory_heads = 1"]),
        ("qwen3", ["base_width = 32"]),
        ("gpt2", ["base_width = 32"]),
    ],
)
def test_it_carries_over_in_other_architectures(architecture, params):
    found = check(RATE, *params, architecture=architecture, widths=(32, 64, 128, 256))
    assert found.is_flat, verdicts(found)


@pytest.mark.slow
def test_it_carries_over_with_experts():
    overlay = [*ADAMW, config_files.gin_file("architectures", "switch")]
    found = check(RATE, "base_width = 32", optimizer=overlay, widths=(32, 64, 128, 256))
    assert found.is_flat, verdicts(found)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (["base_width = -1"], "base_width = -1: expected a number above 0"),
        (["num_heads = 3", "d_model = 30"], "--widths 32: d_ff = 64 at d_model = 30 would be 68"),
        (["norm = @none"], "none"),
    ],
)
def test_errors_are_one_line(params, message):
    with pytest.raises(UsageError, match=message) as caught:
        check(*params)
    assert "\n" not in str(caught.value)
