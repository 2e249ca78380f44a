"""The program extended from a few blocks is the program of all of them."""

import pytest

import t5_imports  # noqa: F401  Registers what gin files name.
from primer.gin_config import config_files
from primer.planning.plans import planner, repeated_blocks
from tests.planning.plans import make
from tests.slow import all_but

MICRO = "utils.serialize_num_microbatches.tokens_per_microbatch_per_replica"
CASES = {
    "transformer": ([], ["num_layers = 5"], {}),
    "primer with recomputation": (
        ["architectures/primer.gin"],
        ["num_layers = 5", f"{MICRO} = 512"],
        planner.RECOMPUTED,
    ),
    "two kinds of attention": (
        [],
        ["num_layers = 8", "attention_kinds = ['global', 'local']", "window = 8"],
        {},
    ),
    "adamw with clipping": (["optimizers/adamw.gin"], ["num_layers = 6", f"{MICRO} = 512"], {}),
    "experts": (["architectures/switch.gin"], ["num_switch_blocks = 4", "num_experts = 4"], {}),
}


@pytest.mark.parametrize("case", all_but({"transformer"}, CASES))
def test_all_numbers_are_those_of_the_whole(case):
    files, params, changes = CASES[case]
    params = ["utils.run.batch_size = 8", "utils.run.sequence_length = {'targets': 128}", *params]
    few, whole = (
        make.plan([*make.TINY, *files], params, whole=whole, changes=changes)
        for whole in (False, True)
    )
    a, b = few.program, whole.program
    assert a.parts == b.parts
    assert names(a.variables) == names(b.variables)
    assert (a.parameters, a.device_parameters) == (b.parameters, b.device_parameters)
    assert a.memory.variables == b.memory.variables
    for kind in ("gradients", "weight_casts", "activations"):
        assert sizes(a, kind) == pytest.approx(sizes(b, kind), rel=1e-3), kind
    assert a.memory.peak == pytest.approx(b.memory.peak, rel=1e-3)
    assert (a.memory.peak_part, a.memory.peak_phase) == (b.memory.peak_part, b.memory.peak_phase)
    assert sum(a.memory.at_peak.values()) == a.memory.peak
    assert a.flops == b.flops
    for axes in {c.axes for c in b.collectives}:
        assert sent(a, axes) == pytest.approx(sent(b, axes), rel=1e-3)
    assert few.time.seconds == pytest.approx(whole.time.seconds, rel=2e-3)


def names(variables):
    return sorted((v.name, v.part, v.slice_shape) for v in variables)


def sizes(program, kind):
    return sum(getattr(program.memory, kind).values())


def sent(program, axes):
    return sum(c.sent_bytes for c in program.collectives if c.axes == axes)


def test_stacks_that_repeat_and_that_do_not():
    def stack(*params):
        with planner.settings_of(make.TINY, params):
            return repeated_blocks.stack_of(128)[0]

    assert stack("num_layers = 5") == repeated_blocks.Stack(5, 1)
    assert stack("num_layers = 3") is None  # As many as would be lowered.
    kinds = "attention_kinds = ['global', 'local']"
    assert stack("num_layers = 8", kinds, "window = 8") == repeated_blocks.Stack(8, 2)
    irregular = "attention_kinds = ['global', 'global', 'local', 'global', 'local', 'local']"
    assert stack("num_layers = 6", irregular, "window = 8") is None


def test_the_classes_of_layers():
    files = config_files.composition_files("primer", "relu", "tiny")
    with planner.settings_of(files, []):
        _, classes = repeated_blocks.stack_of(128)
    assert classes["block_000/layer_000"] == "MDHA"
