"""Our gin files follow the linter's rules, and the linter reports violations."""

import os
import shutil

import pytest

from primer.gin_config import config_files, lint, statements
from tests import gin_models

GIN = config_files.gin_directory()
# Those of @embedding/sublayer_dropout and @final/sublayer_dropout.
SCOPES = ("embedding", "final")


def test_our_files_keep_the_rules(t5_gin):
    findings = lint.Linter(GIN, others=[t5_gin], scopes=SCOPES).findings()
    assert not findings, "\n".join(map(str, findings))


def test_the_linter_reads_every_file(t5_gin):
    files = statements.gin_files(GIN)
    assert "defaults.gin" in files and len(files) > 20
    assert {name.split("/")[0] for name in files if "/" in name} <= set(config_files.kinds())


@pytest.mark.parametrize(
    "path, text, message",
    [
        ("sizes/wide.gin", "d_model = 2 * 32", None),
        ("sizes/wide.gin", 'd_model = "32"', "name = number"),
        ("sizes/wide.gin", "d_model = True", "name = number"),
        ("sizes/wide.gin", "d_model = @d_ff/ladder_size()", "name = @name/ladder_size()"),
        ("sizes/wide.gin", "d_model = @d_model/ladder_size", "number"),
        ("sizes/wide.gin", "d_model = @unset_size()", "name = number"),
        ("sizes/published/wide.gin", "d_model = 'x'", "name = number"),
        ("sizes/wide.gin", "num_layer = 3", "num_layer is not declared"),
        ("sizes/wide.gin", "Unitransformer.d_model = 3", "a file of sizes/ sets slots"),
        ("sizes/wide.gin", "attention = 3", "attention is also set by files of architectures/"),
        ("architectures/odd.gin", "SelfAttention.num_heads = 3", "sets slots"),
        ("models/odd.gin", "d_model = 3", "include lines only"),
        ("models/odd.gin", "import primer.layers", "include lines only"),
        ("models/odd.gin", 'include "sizes/no.gin"', "there is no such file"),
        ("run/odd.gin", "deccoder/MoE1D.capacity_factor_train = 1.2", "enters this scope"),
        ("run/odd.gin", "encoder/d_model = 3", "encoder/d_model is not declared"),
        ("run/odd.gin", "LocalSelfAttention.num_heads = %num_heads", "bound in defaults.gin only"),
        ("run/odd.gin", "A.b = {'x': [1, %d_ff]}", "bound in defaults.gin only"),
        ("run/odd.gin", "run.train_steps = 3", "write utils.run.train_steps"),
        ("run/odd.gin", 'utils.run.mode = "eval"\ninclude "sizes/tiny.gin"', "after a binding"),
        ("objectives/lm.gin", "", "has a file of the same path"),
        ("datasets/odd.gin", "optimizer = @A", "optimizer is also set by files of optimizers/"),
        ("datasets/odd.gin", "d_ff = 3", "d_ff is also set by files of sizes/"),
        ("recipes/odd.gin", "usual_clip_norm = 3.0", "is also set by files of optimizers/"),
        (
            "architectures/odd.gin",
            "usual_clip_norm = 3.0",
            "is also set by files of architectures/",
        ),
        ("optimizers/odd.gin", "optimizer = @A", "does not set usual_clip_norm, usual_final_"),
        ("optimizers/odd.gin", "weight_decay = 0.1", "sets weight_decay: no slot of optimizers/"),
        ("optimizers/odd.gin", "schedule = @A", "schedule: no slot of optimizers/"),
        ("optimizers/odd.gin", "A.b = 3", "binds in its own scope only, odd/A.b"),
        ("optimizers/odd.gin", "od/A.b = 3", "binds in its own scope only, odd/A.b"),
        ("optimizers/odd.gin", "odd/A.b = 3", "no slot of this file enters the scope, as by @odd/"),
        ("optimizers/a/odd.gin", "odd/A.b = 3", "binds in its own scope only, a_odd/A.b"),
        (
            "schedules/odd.gin",
            "schedule = @A\nodd/A.b = 3",
            "no slot of this file enters the scope",
        ),
        ("schedules/odd.gin", "A.b = 3", "binds in its own scope only, odd/A.b"),
    ],
)
def test_a_broken_rule_is_found_at_its_line(tmp_path, t5_gin, path, text, message):
    folder = tmp_path / "gin"
    shutil.copytree(GIN, folder)
    target = folder / path
    target.parent.mkdir(exist_ok=True)
    target.write_text(f"# A comment, which moves the statement to line 2.\n{text}\n")
    linter = lint.Linter(str(folder), others=[t5_gin], scopes=SCOPES)
    if message is None:
        # gin has no arithmetic.
        with pytest.raises(SyntaxError):
            linter.findings()
        return
    # A slot that two kinds set is found in the file of one of them.
    findings = [f for f in linter.findings() if f.path == path or "is also set by" in f.message]
    assert message in "\n".join(map(str, findings))
    assert all(f.line in (1, 2, 3) for f in findings)


def test_sizes_set_the_same_numbers_and_fit_together():
    names = None
    for size in config_files.names_of_kind("sizes"):
        numbers = gin_models.size_numbers(size)
        names = names or set(numbers)
        assert set(numbers) == names, size
        assert numbers["d_model"] == numbers["num_heads"] * numbers["d_kv"], size
        # A gated unit has three matrices and as many parameters as two at full width.
        assert abs(numbers["d_ff_gated"] - numbers["d_ff"] * 2 / 3) <= 4, size
        assert numbers["d_model_narrow"] * 4 == numbers["d_model"] * 3, size
        assert numbers["d_ff_12x"] == 12 * numbers["d_model_narrow"], size
        assert numbers["d_ff_12x_gated"] * 3 == numbers["d_ff_12x"] * 2, size


@pytest.mark.parametrize(
    "kind, names",
    [
        ("architectures", gin_models.BASES),
        ("activations", config_files.names_of_kind("activations")),
    ],
)
def test_files_of_a_kind_set_the_same_slots(kind, names):
    """Otherwise slots of an earlier file of the kind would stay set after a later one."""
    found = {name: set(gin_models.slots(config_files.gin_file(kind, name))) for name in names}
    first = found[names[0]]
    assert first
    assert all(slots == first for slots in found.values()), found


def test_overlays_share_no_slot_with_architectures():
    """Therefore the order of the two files does not matter."""
    assert gin_models.OVERLAYS
    for overlay in gin_models.OVERLAYS:
        own = gin_models.architecture_slots(overlay)
        assert not set(own) & set(gin_models.architecture_slots(gin_models.BASES[0])), overlay


def test_a_size_reaches_its_layer_in_at_most_two_hops():
    """A size is bound to a parameter, or to a slot that is bound to a parameter."""
    folders = ("", "architectures/", "activations/")
    files = [
        f for f in statements.gin_files(GIN) if os.path.join(os.path.dirname(f), "") in folders
    ]
    hops = []
    for path in files:
        for statement in statements.parse_file(os.path.join(GIN, path)):
            if statements.is_macro(statement):
                slots = lint.macros_used(statement.value)
                hops += [(slot, statements.macro_name(statement)) for slot in slots]
    sizes = statements.macros_set(os.path.join(GIN, config_files.gin_file("sizes", "tiny")))
    first = [(size, slot) for size, slot in hops if size in sizes]
    assert ("num_layers", "num_dense_blocks") in first
    further = {slot for slot, _ in hops}
    assert not [(size, slot) for size, slot in first if slot in further]
