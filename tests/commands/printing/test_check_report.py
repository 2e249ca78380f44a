"""The report of `primer check`, from a made-up result."""

import io

from primer.commands.printing import check_report
from primer.cost.model_cost import ModelCost
from primer.cost.parameters import Parameters
from primer.gin_config.findings import BINDING, UNREAD, Finding, Findings
from primer.gin_config.shared_slots import SharedSlots
from primer.planning.check import CheckResult
from primer.planning.structure import Group, Layer, Variable

COST = ModelCost(Parameters(60, 28, 20, 8), 512, {"layer_000": 32.0, "logits": 52.5})
OWN = Finding(BINDING, "own.gin:3", "A.b", "never called", True)
INSTALLED = Finding(UNREAD, "defaults.gin:7", "size", "nothing reads this macro", False)
PAIR = SharedSlots("sizes", "sizes/a.gin", "sizes/b.gin", ("d_ff", "d_kv"))


def result(*dead, shared=()):
    weight = Variable("Dense/w", {"d_model": 4, "_d_ff": 3}, 2)
    dense = Layer("layer_000", "Dense", [weight], flops=[24.0, 8.0])
    dense.variables.append(Variable("norm/scale", {"d_model": 4}))
    groups = [
        Group("", "", 1, [Layer("embedding", "", [Variable("embedding", {"vocab": 8, "d": 4})])]),
        Group("block_000", "block_001", 2, [dense, Layer("layer_001", "Empty", [])]),
        Group("", "", 1, [Layer("logits", "", [], [52.5])]),
    ]
    slots = {"d_ff": ("3", None, "own.gin:1"), "width": ("%d_ff", "3", "own.gin:2")}
    return CheckResult(["own.gin"], slots, groups, Findings(tuple(dead), tuple(shared)), COST, 97)


def test_data_have_every_part():
    data = check_report.as_data(result(OWN, INSTALLED, shared=[PAIR]))
    assert COST.as_result().items() <= data.items()  # As in the results of `primer eval`.
    assert data["parameters"] == 32 + 2 * 12 + 4 and data["parameters_of_vocabulary_padding"] == 8
    assert data["parameters_by_part"] == {"embedding": 32, "Dense": 24, "norm": 4}
    assert data["length"] == 512
    assert data["flops_by_convention"] == {
        "exact": {"forward": 84.5, "training": 253.5},
        "six_n": {"training": 120},
    }
    layers = [layer for part in data["layers"] for layer in part["layers"]]
    flops = [layer["forward_flops_per_token"] for layer in layers]
    assert flops == [[], [24.0, 8.0], [], [52.5]]
    assert data["slots"]["d_ff"] == {"value": "3", "comes_to": "3", "set_by": "own.gin:1"}
    assert data["slots"]["width"]["comes_to"] == "3"
    assert [(part["blocks"], part["times"]) for part in data["layers"]] == [
        ("", 1),
        ("block_000-001", 2),
        ("", 1),
    ]
    assert [finding["name"] for finding in data["dead"]] == ["A.b"]
    assert data["shared_slots"] == [
        {"kind": "sizes", "earlier": "sizes/a.gin", "later": "sizes/b.gin", "slots": PAIR.slots}
    ]


def test_installed_findings_are_included_on_demand():
    data = check_report.as_data(result(OWN, INSTALLED), with_installed=True)
    assert [finding["own"] for finding in data["dead"]] == [True, False]


def printed(*arguments):
    out = io.StringIO()
    check_report.print_report(*arguments, file=out)
    return [" ".join(line.split()) for line in out.getvalue().splitlines() if line.strip()]


def test_the_printed_report_has_tables_and_findings_by_kind():
    lines = printed(result(OWN, INSTALLED, shared=[PAIR]), True)
    for line in (
        "width %d_ff 3 own.gin:2",
        "in all 60",
        "of these, pad the vocabulary 8",
        "without tables of tokens, positions and output 28",
        "of these, active for a token 20",
        "block_000-001 x 2",
        "layer_000 Dense Dense/w [d_model 4, d_ff 3] 12",
        "norm/scale (in 1 of 2) [d_model 4] 4",
        "layer_001 Empty none",
        "FLOPs per token, exact with attention, length 512",
        "block_000-001/layer_000, 1 of 2 Dense 24 72 28.4%",
        "block_000-001/layer_000, 1 of 2 Dense 8 24 9.5%",
        "logits 52 158 62.1%",
        "in all 84 254 100.0%",
        "by 6N 120",
        "own.gin:3: A.b takes no effect: never called",
    ):
        assert line in lines
    position = lines.index("Bindings that take no effect:")
    assert lines[position + 2] == "Macros that nothing reads:"
    assert lines[position + 3].endswith("reads this macro (installed)")
    assert lines[-1] == f"Warning: {PAIR}"


def test_without_own_findings_every_setting_takes_effect():
    lines = printed(result(INSTALLED))
    assert lines[-1] == "Every setting of your own takes effect."
    assert not any("installed" in line for line in lines)


def test_a_model_without_products_has_no_shares():
    none = ModelCost(COST.parameters, 512, {})
    assert "in all 0 0" in printed(result()._replace(cost=none, groups=[]))


def test_numbers_that_equal_those_before_them_are_not_printed():
    dense = result()._replace(cost=ModelCost(Parameters(60, 28, 28, 0), 512, COST.flops))
    lines = printed(dense)
    assert not any("active" in line or "pad the vocabulary" in line for line in lines)
    assert any("6N: N = 28, the parameters without" in line for line in lines)
    assert "logits none" not in lines
