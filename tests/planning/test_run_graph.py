"""The short build of a run reads the settings that the whole one reads."""

import gin
import mesh_tensorflow as mtf
import pytest

from primer.gin_config import config_files, dead_bindings, gin_state
from primer.planning import run_graph
from tests import gin_models

FILES = config_files.composition_files("primer", "swiglu", "tiny")


def read(build, mode, *more):
    """What gin noted of a build, and what the detector makes of it."""
    gin_models.parse([*FILES, "learning_rate_schedules/rsqrt_no_ramp_down.gin"], ["num_layers = 2"])
    build(97, mode, *more)
    noted = {key: set(parameters) for key, parameters in gin.config._OPERATIVE_CONFIG.items()}
    return noted, dead_bindings.find_dead_bindings()


@pytest.mark.parametrize("mode", run_graph.MODES)
def test_what_a_whole_build_reads_the_short_one_reads(mode):
    noted, dead = read(run_graph.build_run, mode)
    assert read(run_graph.build_step, mode) == (noted, dead)


@pytest.mark.parametrize("mode", run_graph.MODES)
def test_one_block_reads_what_two_read_but_their_number(mode):
    noted, _ = read(run_graph.build_step, mode)
    short, _ = read(run_graph.build_step, mode, 1)
    only_whole = {key for key in noted if noted[key] != short.get(key)}
    assert ("num_layers", gin_state.MACRO) in only_whole
    assert only_whole <= {
        ("", "primer.layers.block.stack_depth"),
        ("num_layers", gin_state.MACRO),
        ("num_dense_blocks", gin_state.MACRO),
        ("num_blocks", gin_state.MACRO),
    }


def test_the_number_of_blocks_is_that_of_gin_again_afterwards():
    gin_models.parse(FILES, ["num_layers = 3"])
    lowering = mtf.Lowering
    graph = run_graph.build_step(97, "eval", blocks=1)
    assert not any("block_001" in v.name for v in graph.trainable_variables)
    _, graph = run_graph.build_forward(97)
    assert any("block_002" in v.name for v in graph.trainable_variables)
    assert mtf.Lowering is lowering
