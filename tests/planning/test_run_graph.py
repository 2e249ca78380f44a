"""The build without lowering reads the settings that the whole build reads."""

import gin
import mesh_tensorflow as mtf
import pytest

from primer.gin_config import config_files, dead_bindings, gin_state
from primer.planning import run_graph
from tests import gin_models

FILES = config_files.composition_files("primer", "swiglu", "tiny")


def read(build, mode, *more):
    """Returns gin's record of a build, and the dead bindings after it."""
    gin_models.parse([*FILES, "learning_rate_schedules/rsqrt_no_ramp_down.gin"], ["num_layers = 2"])
    build(97, mode, *more)
    recorded = {key: set(parameters) for key, parameters in gin.config._OPERATIVE_CONFIG.items()}
    return recorded, dead_bindings.find_dead_bindings()


@pytest.mark.parametrize("mode", run_graph.MODES)
def test_the_build_without_lowering_reads_the_same_settings(mode):
    recorded, dead = read(run_graph.build_run, mode)
    assert read(run_graph.build_step, mode) == (recorded, dead)


@pytest.mark.parametrize("mode", run_graph.MODES)
def test_one_block_reads_the_settings_of_two(mode):
    """Also their number, for the pattern of attention kinds."""
    recorded, _ = read(run_graph.build_step, mode)
    short, _ = read(run_graph.build_step, mode, 1)
    assert recorded == short and ("num_layers", gin_state.MACRO) in recorded


@pytest.mark.parametrize(
    "lengths, length", [({"inputs": 64, "targets": 16}, 16), ({"inputs": 64}, 64)]
)
def test_the_forward_pass_has_the_length_of_the_targets(lengths, length):
    gin_models.parse(FILES, [f"utils.run.sequence_length = {lengths}"])
    assert run_graph.cost_of(*run_graph.build_forward(97)).length == length


def test_the_number_of_blocks_and_the_lowering_are_restored():
    gin_models.parse(FILES, ["num_layers = 3"])
    lowering = mtf.Lowering
    graph = run_graph.build_step(97, "eval", blocks=1)
    assert not any("block_001" in v.name for v in graph.trainable_variables)
    _, graph = run_graph.build_forward(97)
    assert any("block_002" in v.name for v in graph.trainable_variables)
    assert mtf.Lowering is lowering
