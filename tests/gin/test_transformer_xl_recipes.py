"""The recipes of Transformer-XL and FastMoE: their scripts' settings and parameter counts."""

import dataclasses

import gin
import pytest

from primer.cost import parameters as cost_parameters
from primer.gin_config import config_files
from primer.planning import run_graph, schedule_curve
from tests import slow
from tests.gin import transformer_xl_counts
from tests.gin.transformer_xl_counts import PAPER, SCRIPTS

# Recipe -> rows, tgt_len, mem_len; dropout, dropatt; warmup_step, max_step; and of the final
# evaluation tgt_len, mem_len, clamp_len.
RUNS = {
    "transformer_xl_enwik8_base": (22, 512, 512, 0.1, 0.0, 0, 400_000, 80, 2100, 820),
    "transformer_xl_enwik8_large": (64, 768, 768, 0.15, 0.15, 4000, 400_000, 128, 3800, 1000),
    "transformer_xl_text8_base": (22, 512, 512, 0.1, 0.0, 0, 400_000, 80, 2100, 820),
    "transformer_xl_text8_large": (64, 768, 768, 0.15, 0.15, 4000, 400_000, 128, 3800, 1000),
    "transformer_xl_wikitext103_base": (60, 150, 150, 0.1, 0.0, 0, 200_000, 64, 640, 400),
    "transformer_xl_wikitext103_large": (128, 384, 384, 0.2, 0.2, 16_000, 4e6, 128, 1600, 1000),
    "transformer_xl_lm1b_base": (224, 32, 32, 0.0, 0.0, 20_000, 500_000, 32, 128, None),
    "transformer_xl_lm1b_large": (512, 32, 32, 0.05, 0.05, 30_000, 1.2e6, 32, 128, None),
    "fastmoe_enwik8": (22, 512, 512, 0.1, 0.0, 0, 400_000, 80, 2100, 820),
}
every_recipe = pytest.mark.parametrize("name", SCRIPTS)


def files(name):
    return [config_files.MODEL_DEFAULTS, f"recipes/{name}.gin"]


def slot(name):
    """The value of a slot; of one that is another's, the other's."""
    value = gin.query_parameter(f"{name}/macro.value")
    if isinstance(value, gin.config.ConfigurableReference) and value.evaluate:
        return value.scoped_configurable_fn()
    return value


def is_shuffled():
    """Whether training reads documents in an order of its own: by default, it does."""
    try:
        return gin.query_parameter("mesh_train_dataset_fn.shuffle")
    except ValueError:  # Not bound.
        return True


def test_every_script_has_a_recipe():
    names = set(config_files.names_of_kind("recipes"))
    own = {name for name in names if name.startswith(("transformer_xl_", "fastmoe"))}
    assert own == set(SCRIPTS) == set(RUNS)


@every_recipe
def test_a_recipe_has_the_lengths_and_rates_of_its_script(name, load):
    load(files(name))
    rows, length, memory, dropout, attention, warmup, steps, *final = RUNS[name]
    assert gin.query_parameter("utils.run.batch_size") == ("sequences_per_batch", rows)
    assert gin.query_parameter("utils.run.sequence_length") == {"inputs": 1, "targets": length}
    assert gin.query_parameter("utils.run.train_steps") == steps
    names = ["memory_length", "carry_memory", "dropout_rate", "attention_dropout_rate"]
    assert [slot(each) for each in names] == [memory, True, dropout, attention]
    evaluation = ["segment_length_eval", "memory_length_eval", "clamp_length_eval"]
    assert [slot(each) for each in evaluation] == final
    assert (slot("same_length"), slot("same_length_eval")) == (False, True)
    assert slot("clamp_length") is None and slot("segment_length") is None
    assert gin.query_parameter("primer.lm_stream.columns") and slot("clip_norm") == 0.25
    assert is_shuffled() == name.startswith("transformer_xl_lm1b")
    curve = schedule_curve.curve(schedule_curve.schedule_in_force(), int(steps))
    assert abs(curve.peak[0] - warmup) <= 1  # The line ends a little above the cosine.
    assert curve.peak[1] == pytest.approx(2.5e-4, rel=0.01) and curve.rates[-1] == 0


@every_recipe
def test_a_recipe_has_the_size_and_the_clusters_of_its_script(name, load):
    load(files(name))
    script = SCRIPTS[name]
    sizes = ["num_layers", "d_model", "num_heads", "d_kv", "d_ff"]
    expected = [script.n_layer, script.d_model, script.n_head, script.d_head, script.d_inner]
    assert [slot(each) for each in sizes] == expected
    # The published one of the two widths, and another one with as many parameters.
    assert abs(slot("d_ff_gated") - slot("d_ff") * 2 / 3) <= 4
    assert tuple(slot("embedding_cutoffs")) == script.cutoffs
    assert slot("embedding_div_val") == script.div_val
    if script.div_val > 1:
        ties = slot("tied_projections")
        assert (ties or [ties] * 4) == list(script.tie_projs)
        assert slot("projection_stddev") == 0.01


@every_recipe
def test_the_formula_gives_the_published_count(name):
    """In millions, cut off: 41, 277, 151; 0.8B of LM1B is 841 million."""
    script = SCRIPTS[name]
    if script.published:
        assert transformer_xl_counts.parameters(script) // 10**6 == script.published


@pytest.mark.parametrize("name", PAPER)
def test_two_published_counts_are_of_other_models_than_the_scripts(name):
    """257M and 0.46B: docs/models.md."""
    assert transformer_xl_counts.parameters(PAPER[name]) // 10**6 == PAPER[name].published
    large = transformer_xl_counts.parameters(SCRIPTS["transformer_xl_wikitext103_large"])
    base = transformer_xl_counts.parameters(SCRIPTS["transformer_xl_lm1b_base"])
    assert (large, base) == (285_170_506, 357_812_082)


def is_quick(name):
    return SCRIPTS[name].n_layer <= 12 and not name.startswith("transformer_xl_text8")


def without_padding(n_token):
    """The parameters of the graph but for rows of ids that no token has.

    Each cluster's table is padded to a multiple of 128 rows.
    """
    found = cost_parameters.count(*run_graph.build_forward(n_token))
    return found.total - found.padding


@pytest.mark.parametrize("name", slow.all_but(is_quick, SCRIPTS))
def test_the_graph_has_as_many_parameters_as_the_formula(name, load):
    load(files(name))
    script = SCRIPTS[name]
    assert without_padding(script.n_token) == transformer_xl_counts.parameters(script)


@pytest.mark.parametrize("name", ["transformer_xl_wikitext103_large", "transformer_xl_lm1b_base"])
def test_the_graph_of_few_layers_has_as_many_parameters_as_the_formula(name, load):
    load(files(name), ["num_layers = 2"])
    script = dataclasses.replace(SCRIPTS[name], n_layer=2)
    assert without_padding(script.n_token) == transformer_xl_counts.parameters(script)
