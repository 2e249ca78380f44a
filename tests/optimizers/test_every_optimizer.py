"""Every file of gin/optimizers/ trains, splits its variables like the weights, and resumes exactly.

The files are found by their names. Numbers against other libraries are in the test of each
optimizer; kills during training are in tests/test_kills.py.
"""

import functools
import re
import shutil

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, model_directory
from primer.checkpoints.description import variable_roles
from primer.common import class_names
from primer.gin_config import config_files, gin_state, values
from primer.planning import run_graph
from tests import gin_models, slow
from tests.optimizers import training_run
from tests.optimizers.training_run import WRAPPED
from tests.runtime import tiny

OPTIMIZERS = config_files.names_of_kind("optimizers")
every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)
# One file for each class of optimizers.
CLASSES = ["adafactor", "adamw", "lamb", "lion", "muon", "sgd"]
# Alone, and with all that training does around it.
SETTINGS = {"alone": (), **({"wrapped": WRAPPED} if WRAPPED else {})}
# For long tests: files of a class that has another one are enough alone.
LONG = [(name, "wrapped" if name in CLASSES else "alone") for name in OPTIMIZERS]

ONE_DEVICE, MESH_2X2 = "meshes/one_device.gin", "meshes/two_dimensional_2x2.gin"
LONG_RUN = 100_000


@functools.cache
def constant_rate(name):
    """Returns a binding of the highest rate of an optimizer's usual schedule in a long run.

    A few steps of a warmup would hide the optimizer.
    """
    gin_models.parse([*training_run.MODEL, config_files.gin_file("optimizers", name)])
    schedule = functools.partial(gin_state.value_of_macro("schedule"), total_train_steps=LONG_RUN)
    found = training_run.rates(schedule, np.geomspace(1, LONG_RUN, 200).astype(int))
    return f"schedule = {max(found)}"


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Returns a function that trains with an optimizer on a mesh, once for each."""
    folder = tmp_path_factory.mktemp("every_optimizer")

    @functools.cache
    def run(name, mesh, around="alone"):
        files = [config_files.gin_file("optimizers", name), mesh]
        return training_run.train(folder, files, [constant_rate(name), *SETTINGS[around]])

    return run


@every_optimizer
def test_the_loss_falls(train, name):
    losses = train(name, ONE_DEVICE).losses
    assert np.all(np.isfinite(losses)) and losses[-1] < losses[0]


@pytest.mark.parametrize(("name", "around"), slow.all_but([("muon", "wrapped")], LONG, "-".join))
def test_a_mesh_gives_the_losses_of_one_device(train, name, around):
    one, several = (train(name, mesh, around) for mesh in (ONE_DEVICE, MESH_2X2))
    np.testing.assert_allclose(several.losses, one.losses, rtol=1e-5)


@every_optimizer
def test_averaging_knows_the_weights(train, name, load, tmp_path):
    """By the record that training writes: names of slots say nothing certain."""
    roles = train(name, ONE_DEVICE).roles
    load(training_run.MODEL, [training_run.SETTINGS])
    weights = {v.name for v in run_graph.build_forward(97)[1].trainable_variables}
    model_directory.write_record(str(tmp_path), {variable_roles.KEY: roles})
    names = [*roles["weights"], *roles["optimizer"], checkpoint_files.GLOBAL_STEP]
    selected = variable_roles.select_weights(str(tmp_path), names)
    assert set(selected) == weights | {checkpoint_files.GLOBAL_STEP}


def weight_of(slot, weights):
    """Returns the weight whose name the name of an optimizer's variable begins with, or None."""
    owners = [weight for weight in weights if slot.name.startswith(weight.name)]
    return max(owners, key=lambda weight: len(weight.name), default=None)


@pytest.mark.parametrize("around", slow.all_but(["wrapped"], SETTINGS))
@pytest.mark.parametrize("name", slow.all_but(CLASSES, OPTIMIZERS))
def test_the_state_has_the_dimensions_and_the_layout_of_its_weight(name, around, load):
    files = [*training_run.MODEL, config_files.gin_file("optimizers", name)]
    # The variables that the optimizer makes: equal ones are not combined for the mesh.
    load(
        [*files, MESH_2X2],
        [training_run.SETTINGS, "utils.run.autostack = False", *SETTINGS[around]],
    )
    graph = run_graph.build_step(97)
    shape = mtf.convert_to_shape(values.configured("utils.run.mesh_shape"))
    layout = mtf.convert_to_layout_rules(values.configured("utils.run.layout_rules"))
    mesh = mtf.placement_mesh_impl.PlacementMeshImpl(shape, layout, [""] * shape.size)
    weights = graph.trainable_variables
    state = [variable for variable in graph.all_variables if variable not in weights]
    for variable in state:
        assert not variable.trainable
        assert variable.dtype.master_dtype == variable.dtype.slice_dtype == tf.float32
        weight = weight_of(variable, weights)
        if weight is None:  # A count or a history of the whole run, which every device has.
            assert not set(variable.shape.dims) & {d for w in weights for d in w.shape.dims}
            assert mesh.slice_shape(variable.shape) == variable.shape.to_integer_list
            continue
        sizes = dict(zip(weight.shape.dims, mesh.slice_shape(weight.shape), strict=True))
        assert set(variable.shape.dims) <= set(sizes), variable.name
        own = [sizes[dim] for dim in variable.shape.dims]
        assert mesh.slice_shape(variable.shape) == own, variable.name


# A run with checkpoints.

RUN = [f'include "{path}"' for path in training_run.MODEL]
HALF, WHOLE = 3, 6


def train_to(model_dir, name, step, around="alone"):
    goal = f"utils.run.train_steps = {step}"
    optimizer = f'include "{config_files.gin_file("optimizers", name)}"'
    model = "\n".join([*RUN, optimizer, "num_layers = 1", constant_rate(name)])
    tiny.run(model_dir, goal, *SETTINGS[around], model=model)


@pytest.fixture(scope="module")
def first_half(tmp_path_factory):
    """Returns a function of an optimizer, alone or wrapped, that returns a directory at step 3."""
    folder = tmp_path_factory.mktemp("first_half")

    @functools.cache
    def run(name, around="alone"):
        train_to(folder / around / name, name, HALF, around)
        return folder / around / name

    return run


@pytest.mark.slow
@pytest.mark.parametrize(("name", "around"), LONG)
def test_resuming_is_exact(first_half, tmp_path, name, around):
    shutil.copytree(first_half(name, around), tmp_path / "resumed")
    train_to(tmp_path / "resumed", name, WHOLE, around)
    train_to(tmp_path / "whole", name, WHOLE, around)
    whole, resumed = (tiny.variables(tmp_path / part, WHOLE) for part in ("whole", "resumed"))
    tiny.assert_equal_variables(whole, resumed)


@pytest.mark.slow
def test_moments_are_corrected_by_their_own_updates_after_a_change_and_back(first_half, tmp_path):
    """Muon leaves out the moments of matrices, and keeps those of all other weights."""
    shutil.copytree(first_half("adamw"), tmp_path / "resumed")
    train_to(tmp_path / "resumed", "muon", 6)
    train_to(tmp_path / "resumed", "adamw", 9)
    found = tiny.variables(tmp_path / "resumed", 9)
    assert (found["adamw_updates"], found["adamw_matrices_updates"]) == (9, 3)


@pytest.mark.slow
@every_optimizer
def test_another_optimizer_may_resume(first_half, tmp_path, name, capfd):
    """Its variables start at their initial values, and are named."""
    before = OPTIMIZERS[OPTIMIZERS.index(name) - 1]
    shutil.copytree(first_half(before), tmp_path / "resumed")
    capfd.readouterr()
    train_to(tmp_path / "resumed", name, WHOLE)
    said = capfd.readouterr().err
    old, new = (set(tiny.variables(tmp_path / "resumed", step)) for step in (HALF, WHOLE))
    optimizer = class_names.source_name(values.bound("%optimizer").configurable.wrapped)
    found = re.search(r"(\d+) variables of the optimizer (\w+) are not in", said)
    assert (found and (int(found[1]), found[2])) == (
        (len(new - old), optimizer) if new - old else None
    )
    assert all(np.all(np.isfinite(v)) for v in tiny.variables(tmp_path / "resumed", WHOLE).values())
