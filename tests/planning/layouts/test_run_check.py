"""Meshes and layouts that do not fit a model are one line, before anything is lowered."""

import re

import pytest

import t5_imports  # noqa: F401  Registers what gin files name.
from primer.errors import UsageError
from primer.gin_config import config_files
from primer.planning.layouts import notation, run_check
from primer.planning.plans import planner

FILES = config_files.composition_files("transformer", "relu", "tiny")
MESH = {"batch": 2, "model": 2}
LAYOUT = "batch:batch,d_ff:model,heads:model,vocab:model"


def check(*params, mesh=None, layout=LAYOUT, own=True, vocabulary=128):
    with planner.settings_of(FILES, ["utils.run.batch_size = 8", *params]):
        run_check.check(mesh or MESH, notation.layout_of(layout), own, vocabulary)


def test_a_layout_that_fits():
    check()
    check(layout=LAYOUT + ",experts:batch,ensemble:other", own=False)
    check(layout="batch:batch,d_model:model,d_model_weight:batch,d_ff:model,heads:model")


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"layout": "batch:batch,d_fff:model"},
            r"the rule d_fff:model matches no dimension of the model, which has batch, .*d_ff, ",
        ),
        (
            {"layout": "batch:batch,d_ff:modell"},
            "the rule d_ff:modell names the mesh axis 'modell', and the mesh 'batch:2,model:2' has "
            "batch and model; name one",
        ),
        (
            {"layout": LAYOUT + ",d_model:model"},
            r".*embedding \[vocab 128, d_model 32\] has two dimensions on the mesh axis model: "
            "vocab of 128 and d_model of 32 entries; split one of them over another axis, or",
        ),
        (
            {"mesh": {"batch": 2, "model": 3}},
            r"the dimension \w+ has [\d,]+ entries in .*, and the mesh axis model has 3 devices, "
            "which do not divide it; change the size to a multiple of 3",
        ),
        (
            {"mesh": {"batch": 3, "model": 2}},
            "utils.run.batch_size: a batch has 8 rows, and the mesh 'batch:3,model:2' splits them "
            "over 3 devices; use a multiple of 3 rows",
        ),
    ],
)
def test_a_layout_that_does_not_fit(settings, message):
    with pytest.raises(UsageError, match=f"^({re.escape(run_check.checks.SETTING)}: )?{message}"):
        check(**settings)


def test_heads_that_do_not_divide_are_named_where_the_layout_renames_weights():
    rules = "batch:rows,d_model:columns,d_model_weight:rows,heads:columns,vocab:columns"
    with pytest.raises(UsageError, match="the dimension heads has 4 entries in .* 8 devices"):
        check(mesh={"rows": 1, "columns": 8}, layout=rules)


@pytest.mark.parametrize("text", ["2x2", "nonsense"])
def test_a_mesh_that_is_none_is_one_line(text):
    with planner.settings_of(FILES, [f"mesh_shape.shape = {text!r}"]):
        with pytest.raises(UsageError, match=f"^utils.run.mesh_shape .*{text}.*: expected .*axes"):
            run_check.mesh_in_force()


def test_the_mesh_of_a_tpus_topology():
    files = [*FILES, "meshes/tpu_two_dimensional.gin"]
    topology = ['utils.tpu_mesh_shape.tpu_topology = "4x4"']
    with planner.settings_of(files, topology):
        assert run_check.planned_mesh(for_tpu=True) == {"rows": 4, "columns": 8}
        assert run_check.planned_mesh(for_tpu=False) == {}
    with planner.settings_of(files, [*topology, "mesh_shape.shape = 'rows:2'"]):
        assert run_check.planned_mesh(for_tpu=True) == {"rows": 2}


def test_a_dimension_inside_a_loop_over_microbatches_is_seen():
    params = ["utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = 512"]
    with pytest.raises(UsageError, match="two dimensions on the mesh axis model: .*memory_length"):
        check(*params, layout="batch:batch,heads:model,memory_length:model")
