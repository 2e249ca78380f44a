"""The cost of a run, printed before its first step."""

import dataclasses

import pytest

from primer.cost.model_cost import ModelCost
from primer.cost.parameters import Parameters
from primer.runtime import model_function
from primer.runtime.cluster import Cluster
from primer.runtime.training import product_speed, run_cost
from tests.runtime import tiny

MODEL = ModelCost(Parameters(3000, 2000, 2000, 0), 512, {"logits": 1e6})
COST = run_cost.RunCost(MODEL, "float32 product of 1,024 x 1,024", 150e9, (4, 512))


def test_the_full_speed_is_that_of_the_product():
    assert COST.full_speed == 150e9 / 3e6
    assert dataclasses.replace(COST, devices=4).full_speed == 4 * COST.full_speed


def test_the_full_speed_of_an_ensemble_counts_the_tokens_of_its_members():
    """Its FLOPs are those of all members for a token of one."""
    assert dataclasses.replace(COST, batch=(3, 4, 512)).full_speed == 3 * COST.full_speed


def test_a_model_without_products_has_no_full_speed():
    model = dataclasses.replace(MODEL, flops={})
    assert dataclasses.replace(COST, model=model).full_speed is None


def test_the_paragraph_names_the_conventions():
    assert COST.describe() == (
        "2,000 parameters without embedding. Training takes 3 MFLOPs per token (exact with "
        "attention, length 512; by 6N 12 kFLOPs). Utilization is the share of 150 GFLOP/s, a "
        "float32 product of 1,024 x 1,024 measured now."
    )


def test_the_paragraph_names_active_parameters_and_devices():
    model = dataclasses.replace(MODEL, parameters=Parameters(3000, 2000, 1500, 0))
    text = dataclasses.replace(COST, model=model, devices=2).describe()
    assert "2,000 parameters without embedding, 1,500 of them active for a token." in text
    assert "150 GFLOP/s x 2 devices, a float32" in text and "by 6N 9 kFLOPs" in text


@pytest.mark.parametrize(
    "settings, hosts, devices",
    [
        ({}, None, 1),
        ({"mesh_devices": ["gpu:0", "gpu:1", "gpu:1"]}, None, 2),
        ({"mesh_devices": ["cpu:0", "cpu:1"]}, None, 1),
        ({"mesh_devices": [""] * 4}, None, 1),
        ({"mesh_devices": ["/job:worker"] * 4}, Cluster((("worker", 0, "a"),) * 3, 0), 3),
    ],
)
def test_processors_on_one_cpu_are_one_device(settings, hosts, devices):
    assert run_cost._devices(settings, hosts) == devices


@pytest.mark.parametrize("gpus", [0, 1])
@pytest.mark.parametrize(
    "mesh_devices, hosts, device",
    [
        (["cpu:0"], None, "cpu:0"),
        (["GPU:1", "GPU:0"], None, "gpu:1"),
        ([""], None, None),
        (None, None, None),
        (["/job:worker"] * 2, Cluster((("worker", 0, "a"),) * 2, 0), "cpu:0"),
    ],
)
def test_the_product_is_computed_by_the_kind_of_device_of_the_mesh(
    mesh_devices, hosts, device, gpus, monkeypatch
):
    monkeypatch.setattr(run_cost.tf.config, "list_physical_devices", lambda kind: [kind] * gpus)
    free = "gpu:0" if gpus else "cpu:0"
    assert run_cost.device_of({"mesh_devices": mesh_devices}, hosts) == (device or free)


@pytest.mark.parametrize(
    "number, text",
    [(874944921600, "875 G"), (999.9, "1 k"), (12.0, "12 "), (1.5e15, "1.5 P"), (2e6, "2 M")],
)
def test_numbers_have_three_digits_and_a_prefix(number, text):
    assert run_cost.in_units(number) == text


def test_the_model_of_an_estimator_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(product_speed, "measure", lambda dtype, device, config: 1e9)
    tiny.configure()
    from mesh_tensorflow.transformer import utils

    estimator = utils.get_estimator(**tiny.estimator_settings(tmp_path))
    found = run_cost.measure(estimator, [4, 8])
    assert found.model == model_function.of_estimator(estimator).cost
    assert found.product == "float32 product of 1,024 x 1,024" and found.devices == 1
    assert found.describe() in capsys.readouterr().err


def test_a_run_prints_its_utilization(tmp_path, capfd):
    tiny.run(tmp_path)
    text = capfd.readouterr().err
    assert "Utilization is the share of " in text
    assert "% utilization" in text.splitlines()[-2]
