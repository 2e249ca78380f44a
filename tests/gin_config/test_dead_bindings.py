"""Bindings without effect are found, and Primer's files have none."""

import os

import gin
import pytest

from primer.data.vocabularies import task_vocabulary
from primer.evaluation import protocols
from primer.gin_config import config_files, dead_bindings, statements
from primer.planning import run_graph
from tests import gin_models

GIN = config_files.gin_directory()
TINY = config_files.composition_files("primer", "squared_relu", "tiny")
SLOTS = statements.declared_slots(GIN)
RUN_PARTS = ("optimizers/", "schedules/")
# One block reads the settings that two read; it saves time.
ONE_BLOCK = ["num_layers = 1"]


@gin.configurable(module="dead_bindings_test")
def listener(loud=1, soft=2):
    return loud, soft


@gin.configurable(module="dead_bindings_test")
def caller(own=3, **more):
    return listener(loud=own, **more)


@gin.configurable(module="dead_bindings_test")
def silent(volume=0):
    return volume


def verdicts(*bindings):
    gin.clear_config()
    gin.parse_config(list(bindings))
    caller()
    with gin.config_scope("train"), gin.config_scope("deep"):
        listener()
    return {str(dead) for dead in dead_bindings.find_dead_bindings()}


L, C, S = (f"dead_bindings_test.{name}" for name in ("listener", "caller", "silent"))


@pytest.mark.parametrize(
    "bindings, expected",
    [
        (["listener.soft = 5"], set()),
        (["train/listener.soft = 5"], set()),
        (["train/deep/listener.soft = 5"], set()),
        (["listener.soft = 5", "train/listener.soft = 6"], set()),
        (["caller.own = 5"], set()),
        (["size = 5", "listener.soft = %size"], set()),
        (["size = 5", "listener.soft = [%size]"], set()),
        (["trian/listener.soft = 5"], {f"trian/{L}.soft: its scope is never entered"}),
        (["deep/listener.soft = 5"], {f"deep/{L}.soft: its scope is never entered"}),
        (["train/caller.own = 5"], {f"train/{C}.own: never called in its scope"}),
        (["silent.volume = 5"], {"dead_bindings_test.silent.volume: never called"}),
        (["trian/silent.volume = 5"], {f"trian/{S}.volume: its scope is never entered"}),
        (
            ["train/listener.soft = 5", "train/deep/listener.soft = 6"],
            {f"train/{L}.soft: the caller passes another value, or an inner scope binds it"},
        ),
        (["gin.singleton.constructor = @listener"], {"gin.singleton.constructor: never called"}),
        (["size = 5"], {"size: no binding in effect reads this macro"}),
        (["szie = 5", "listener.soft = 1"], {"szie: no binding in effect reads this macro"}),
    ],
)
def test_recorded_calls_decide_what_takes_effect(bindings, expected):
    """Pins the meaning of gin's private dictionaries, `_CONFIG` and `_OPERATIVE_CONFIG`."""
    assert verdicts(*bindings) == expected


def test_a_binding_that_the_caller_overrides_is_dead():
    gin.clear_config()
    gin.parse_config(["listener.loud = 5", "listener.soft = 6"])
    assert caller() == (3, 6)
    assert [(d.parameter, d.reason) for d in dead_bindings.find_dead_bindings()] == [
        ("loud", "the caller passes another value, or an inner scope binds it")
    ]


def test_a_declared_macro_may_go_unread():
    gin.clear_config()
    gin.parse_config(["d_ff_gated = 5"])
    assert dead_bindings.find_dead_bindings(declared={"d_ff_gated"}) == []


def test_a_binding_that_other_code_reads_is_not_dead():
    gin.clear_config()
    gin.parse_config(["silent.volume = 5", "size = 5", "other = 6"])
    elsewhere = {("", S, "volume"), ("size", "gin.macro", "value")}
    (dead,) = dead_bindings.find_dead_bindings(elsewhere=elsewhere)
    assert dead.key == ("other", "gin.macro", "value")


def test_only_changed_bindings_are_checked():
    gin.clear_config()
    gin.parse_config(["old = 5", "changed = 6"])
    before = dead_bindings.snapshot()
    gin.parse_config(["old = 5", "changed = 7", "new = 8"])
    dead = dead_bindings.find_dead_bindings(dead_bindings.changed_since(before))
    assert [d.scope for d in dead] == ["changed", "new"]


def exercise(vocabulary_size=97):
    """Builds both graphs, of training and of evaluation: each reads settings of its own."""
    for mode in run_graph.MODES:
        run_graph.build_step(vocabulary_size, mode)
    protocols.configured_protocol()  # As an evaluation does.
    task_vocabulary.gin_settings()  # As a data set does.


def own_dead(load, files, bindings=(), data=(), vocabulary_size=97):
    """The dead bindings among those that the files after the defaults and the data make."""
    load([*TINY[:1], *data])
    before = dead_bindings.snapshot()
    load(files, [*ONE_BLOCK, *bindings])
    own = dead_bindings.changed_since(before)
    exercise(vocabulary_size)
    return [str(d) for d in dead_bindings.find_dead_bindings(own, declared=SLOTS)]


# The first five are in the original's released files or in those that they were copied from.
SILENT_MISTAKES = {
    "Unitransformer.layer_stack = @PrePostNormLayerStack": "layer_stack: the caller passes",
    "deccoder/MoE1D.capacity_factor_train = 1.2": "factor_train: its scope is never entered",
    "encoder/MoE1D.capacity_factor_eval = 1.2": "factor_eval: its scope is never entered",
    "decoder/Unitransformer.label_smoothing = 0.1": "label_smoothing: its scope is never entered",
    "LocalSelfAttention.dropout_rate = 0.3": "dropout_rate: never called",
    "num_layer = 3": "num_layer: no binding in effect reads this macro",
    "lm/SelfAttention.num_heads = 2": "num_heads: its scope is never entered",
}


def test_the_silent_mistakes_of_released_files_are_found(load):
    found = own_dead(load, TINY, SILENT_MISTAKES)
    assert len(found) == len(SILENT_MISTAKES)
    for binding, text in SILENT_MISTAKES.items():
        assert sum(text in dead for dead in found) == 1, binding


def test_a_binding_with_effect_is_not_reported(load):
    bindings = [
        "Unitransformer.z_loss = 1e-3",
        "d_ff_gated = 5",
        "AdafactorOptimizer.decay_rate = 0.9",
        "learning_rate_schedule_noam.warmup_steps = 5",
        "taps = 5",
        "MDHA.kernel_size = %taps",
        'precision.activation_dtype = "float32"',
        "utils.run.train_steps = 3",
    ]
    assert own_dead(load, TINY, bindings) == []


LARGE = 800_000


def included(path):
    """The files that one of Primer's includes, at any depth, in order."""
    found = []
    if os.path.isfile(os.path.join(GIN, path)):
        for statement in statements.parse_file(os.path.join(GIN, path)):
            if statements.is_include(statement):
                found += [*included(statement.filename), statement.filename]
    return found


# Kinds of files that bind parameters of a run on any data; some have no file yet.
KINDS = {"meshes", "run", "optimizers", "schedules", "recipes"}


@pytest.mark.parametrize(
    "path", [path for path in statements.gin_files(GIN) if path.split("/")[0] in KINDS]
)
def test_every_line_of_every_file_takes_effect(path, load):
    """Of recipes without the data that they include; with a vocabulary beyond all cutoffs."""
    data = [name for name in included(path) if name.split("/")[0] in ("datasets", "objectives")]
    assert own_dead(load, [*TINY, path], data=data, vocabulary_size=LARGE if data else 97) == []


# (architecture, overlay, files): a size of the ladder; a gate; each architecture; experts.
SOME_MODELS = [
    ("transformer", None, gin_models.files("transformer", size="ladder_3m")),
    ("transformer", None, gin_models.files("transformer", "swiglu")),
    *((base, None, gin_models.files(base)) for base in gin_models.BASES),
    *(("transformer", o, gin_models.files("transformer", overlay=o)) for o in gin_models.OVERLAYS),
]


# The optimizers and the schedules, each in a run of its own.
SOME_RUNS = [path for path in statements.gin_files(GIN) if path.startswith(RUN_PARTS)]


def test_every_default_takes_effect_in_some_model(load):
    ever, live = set(), set()

    def add(files, bindings, build):
        load([])
        before = dead_bindings.snapshot()
        load(files, bindings)
        own = dead_bindings.changed_since(before)
        build()
        ever.update(own)
        live.update(own - {dead.key for dead in dead_bindings.find_dead_bindings(own)})

    for architecture, overlay, files in SOME_MODELS:
        # One of the norms is in no architecture.
        norm = ["norm = @sublayer_scale_norm"] if files == SOME_MODELS[0][-1] else []
        bindings = [*gin_models.fewest_block_bindings(architecture, overlay), *norm]
        add(files, bindings, lambda: run_graph.build_forward(97))
    adaptive = ["token_embedding = @AdaptiveEmbedding", "z_loss = 0.0"]
    add(TINY, [*ONE_BLOCK, *adaptive], lambda: run_graph.build_forward(97))
    architecture, overlay, files = SOME_MODELS[-1]
    add(files, gin_models.fewest_block_bindings(architecture, overlay), exercise)
    for path in [*SOME_RUNS, "meshes/two_dimensional.gin"]:
        add([*TINY, path], ONE_BLOCK, lambda: run_graph.build_step(97))
    low_rank = ["lora_rank = 2", "lora_dropout = 0.1", 'frozen = ["embedding"]']
    add(TINY, [*ONE_BLOCK, *low_rank], lambda: run_graph.build_step(97))
    # Training data are read in tests/data alone, the vocabulary of a published model by plans, and
    # whether to compile where a session is made.
    elsewhere = {("", "primer.train_rows", "carried_segments")}
    elsewhere |= {("", "primer.planned_vocabulary", "size"), ("", "primer.compile", "xla")}
    elsewhere |= {("published_vocabulary_size", "gin.macro", "value")}
    assert ever - live == elsewhere


def test_every_file_is_in_one_of_these_tests():
    kinds = {path.split("/")[0] for path in statements.gin_files(GIN)}
    # The tests above have defaults.gin and the files of KINDS. architectures/, activations/
    # and sizes/ set slots only (tests/gin/test_lint.py), which the tests above show to take effect;
    # models/ have include lines. tests/gin/test_datasets.py has datasets/ and objectives/.
    here, elsewhere = {"defaults.gin", *KINDS}, {"datasets", "objectives"}
    slots_only = {"architectures", "activations", "sizes", "models"}
    assert kinds <= here | elsewhere | slots_only
