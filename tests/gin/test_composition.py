"""All architectures, activations and sizes compose, in any order of the files."""

import itertools
import math
import os

import gin
import pytest

from primer.gin_config import config_files, dead_bindings, lint
from primer.planning import parameters, run_graph
from tests import gin_models, slow

DEFAULTS = config_files.MODEL_DEFAULTS
ARCHITECTURES = gin_models.BASES
ACTIVATIONS = config_files.names_of_kind("activations")
OPTIMIZERS, SCHEDULES = (
    [config_files.gin_file(kind, name) for name in config_files.names_of_kind(kind)]
    for kind in ("optimizers", "schedules")
)
SIZES = [n for n in config_files.names_of_kind("sizes") if not n.startswith("ladder_")]


@pytest.mark.parametrize(
    "files",
    [gin_models.files("gemma2", "swiglu", "switch"), [DEFAULTS, OPTIMIZERS[0], SCHEDULES[0]]],
)
def test_a_later_file_replaces_what_an_earlier_one_set(files, load):
    """What the tests below take as known of gin."""
    for order in (files, files[::-1]):
        load(order)
        found = dead_bindings.snapshot()
        expected = gin_models.merged_bindings(order)
        assert {key: found[key] for key in expected} == expected
        load([])
        assert found.keys() - expected.keys() == dead_bindings.snapshot().keys() - expected.keys()


def check_that_the_order_does_not_matter(files):
    """Two files that set the same parameter set it to the same value."""
    for first, second in itertools.combinations(map(gin_models.own_bindings, files), 2):
        both = first.keys() & second.keys()
        assert {key: first[key] for key in both} == {key: second[key] for key in both}


@pytest.mark.parametrize("composition", gin_models.compositions(), ids=gin_models.name_of)
def test_the_order_of_the_files_does_not_matter(composition):
    architecture, overlay = composition
    for activation in ("squared_relu", "swiglu"):  # One ungated, one gated.
        check_that_the_order_does_not_matter(
            gin_models.files(architecture, activation, overlay)[1:]
        )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_order_of_an_optimizer_and_a_schedule_does_not_matter(optimizer):
    for schedule in SCHEDULES:
        check_that_the_order_does_not_matter([*gin_models.files("primer")[1:], optimizer, schedule])


@pytest.mark.parametrize("kind", [OPTIMIZERS, SCHEDULES], ids=["optimizers", "schedules"])
def test_a_later_optimizer_or_schedule_fully_replaces_an_earlier_one(kind):
    """Settings in the scope of the earlier file stay set, and nothing enters the scope."""
    for first, second in itertools.permutations(kind, 2):
        alone = gin_models.merged_bindings([DEFAULTS, second])
        both = gin_models.merged_bindings([DEFAULTS, first, second])
        left = set(both.items()) ^ set(alone.items())
        assert {key[0] for key, _ in left} <= {lint.own_scope(first)}, (first, second)


def combinations(names, quick, every):
    """Returns pairs of a composition and a name: `every` composition has all names, others `quick`.

    An activation, and likewise a size, is read by the feed-forward layers alone, of which there are
    as many kinds as overlays: what holds for one architecture with all names, and for each one with
    some of them, holds for all pairs.
    """
    pairs = [
        (composition, name)
        for composition in gin_models.compositions()
        for name in names
        if name in quick or composition[0] in every
    ]
    return slow.all_but(
        lambda pair: pair[1] in quick and gin_models.is_quick_with_experts(pair[0]),
        pairs,
        lambda pair: f"{gin_models.name_of(pair[0])}-{pair[1]}",
    )


@pytest.mark.parametrize(
    "composition, activation",
    combinations(ACTIVATIONS, ["squared_relu", "swiglu"], ["transformer", "primer_full"]),
)
def test_every_combination_builds(composition, activation, load):
    architecture, overlay = composition
    load(
        gin_models.files(architecture, activation, overlay),
        gin_models.fewest_block_bindings(architecture, overlay),
    )
    gin.finalize()
    model, graph = run_graph.build_forward(97)
    hidden = [v for v in graph.trainable_variables if "/wi" in v.name and "kernel" in v.name]
    layers = gin_models.fewest_layers(architecture, overlay)
    # Switch has three dense layers and one with experts in a block.
    layers *= 4 if overlay == "switch" else 1
    assert len(hidden) == (2 if "glu" in activation else 1) * layers
    widths = {v.shape.dims[-1].size for v in hidden}
    wide = "12x" in gin_models.architecture_slots(architecture)["projection"].name
    assert widths == {(192 if wide else 44) if "glu" in activation else (288 if wide else 64)}
    experts = [v for v in hidden if "MoE1D" in v.name]
    assert bool(experts) == bool(overlay)
    biases = [v for v in graph.trainable_variables if "MoE1D" in v.name and "bias" in v.name]
    assert bool(biases) == (overlay == "fastmoe")


@pytest.mark.parametrize(
    "composition, size",
    combinations(
        [n for n in SIZES if n != "tiny"],
        ["small"],
        ["transformer", "primer_full", "evolved_transformer"],
    ),
)
def test_every_size_builds(composition, size, load):
    """Sizes set only numbers, so one block of each composition shows whether they fit.

    The rungs of the ladder set its depth only: tests/gin/test_ladder.py has them.
    """
    architecture, overlay = composition
    load(
        gin_models.files(architecture, "swiglu", overlay, size),
        gin_models.fewest_block_bindings(architecture, overlay),
    )
    gin.finalize()
    shapes = parameters.parameter_shapes(97)
    numbers = gin_models.size_numbers(size)
    widths = {numbers[name] for name in ("d_model", "d_model_narrow")}
    assert shapes["transformer/embedding"][-1] in widths
    assert all(math.prod(shape) > 0 for shape in shapes.values())


@pytest.mark.parametrize("overlay", gin_models.OVERLAYS)
def test_a_block_of_other_layers_rejects_experts(overlay, load):
    rejecting = [name for name in ARCHITECTURES if gin_models.rejects_experts(name)]
    assert "evolved_transformer" in rejecting
    for name in rejecting:
        load(gin_models.files(name, "swish", overlay))
        with pytest.raises(ValueError, match="DoubleHeadsAttention.*this block has other layers"):
            run_graph.build_forward(97)


def check_that_it_is_replaced(first, files):
    """An earlier architecture leaves nothing set in a model of other files."""
    defaults, *parts = files
    both = [defaults, config_files.gin_file("architectures", first), *parts]
    assert gin_models.merged_bindings(both) == gin_models.merged_bindings(files), first


@pytest.mark.parametrize("second", ARCHITECTURES)
def test_a_later_architecture_fully_replaces_an_earlier_one(second):
    files = config_files.composition_files(second, "relu", "tiny")
    for first in ARCHITECTURES:
        check_that_it_is_replaced(first, files)


def test_a_later_overlay_fully_replaces_an_earlier_one():
    for first, second in itertools.permutations(gin_models.OVERLAYS, 2):
        check_that_it_is_replaced(first, gin_models.files("primer", overlay=second))


@pytest.mark.parametrize("missing", ["d_model", "d_ff", "num_layers", "num_heads", "d_kv"])
def test_the_error_names_a_missing_size(missing, load):
    numbers = {"d_model": 32, "d_ff": 64, "num_layers": 2, "num_heads": 4, "d_kv": 8}
    del numbers[missing]
    load([DEFAULTS], [f"{name} = {number}" for name, number in numbers.items()])
    with pytest.raises(ValueError, match=f"^{missing}/.*not subsequently overridden"):
        gin.finalize()


def test_defaults_after_a_size_fail_instead_of_resetting_it(load):
    defaults, *parts = config_files.composition_files("primer", "squared_relu", "tiny")
    load([*parts, defaults])
    with pytest.raises(ValueError, match="not subsequently overridden"):
        gin.finalize()


def test_a_gated_activation_needs_its_width(load):
    numbers = ["d_model = 32", "d_ff = 64", "num_layers = 2", "num_heads = 4", "d_kv = 8"]
    load([DEFAULTS, "activations/swiglu.gin"], numbers)
    gin.finalize()
    with pytest.raises(ValueError, match="^d_ff_gated is not set, and this model needs it"):
        parameters.count_parameters(97)


def test_five_numbers_are_a_size(load):
    load([DEFAULTS], ["d_model = 32", "d_ff = 64", "num_layers = 2", "num_heads = 4", "d_kv = 8"])
    gin.finalize()
    assert parameters.count_parameters(97) > 0


def test_the_smoke_file_shrinks_a_large_model(load):
    load([*config_files.published_model_files("large_primer"), "run/smoke.gin"])
    gin.finalize()
    assert parameters.count_parameters(97) < 100_000


def test_one_slot_replaces_dense_layers_by_experts(load):
    load(
        config_files.composition_files("primer_ez", "swiglu", "tiny"),
        ["feed_forward = @MixtureOfExperts"],
    )
    shapes = parameters.parameter_shapes(97)
    experts = {shape for name, shape in shapes.items() if "MoE1D/wi" in name}
    assert experts == {(4, 32, 44)}


def test_the_model_type_must_be_a_language_model(load):
    load([], ["d_model = 32"])
    with pytest.raises(Exception, match='utils.run.model_type = .*expected "lm"'):
        parameters.count_parameters(97)


@pytest.mark.parametrize("mode", run_graph.MODES)
def test_the_whole_run_builds_without_running(mode, load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load([*config_files.composition_files("primer", "squared_relu", "tiny"), "run/smoke.gin"])
    spec = run_graph.build_run(97, mode)
    assert spec.loss.shape.rank == 0
    assert (spec.train_op is not None) == (mode == "train")
    assert not os.listdir(tmp_path)
