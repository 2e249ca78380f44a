"""All meshes of a number of devices, and their layouts."""

from primer.planning.layouts import candidates

DENSE = {"batch", "length", "d_model", "d_ff", "heads", "vocab"}


def test_factorings():
    assert candidates.factorings(12) == [
        {"rows": 12},
        *({"rows": r, "columns": 12 // r} for r in (2, 3, 4, 6)),
    ]
    assert candidates.factorings(7) == [{"rows": 7}]


def test_layouts_of_a_dense_model_have_no_rule_without_effect():
    one = dict(candidates.layouts(["rows"], DENSE))
    assert one["data"] == {"batch": "rows"}
    assert one["model"] == {"d_ff": "rows", "heads": "rows", "vocab": "rows"}
    assert one["fully sharded data"] == {"batch": "rows", "d_model_weight": "rows"}
    two = dict(candidates.layouts(["rows", "columns"], DENSE))
    assert two["two-dimensional"] == {
        "batch": "rows",
        "d_model": "columns",
        "d_model_weight": "rows",
        "d_ff": "columns",
        "heads": "columns",
        "vocab": "columns",
    }
    assert set(two) == {"data x model", "two-dimensional", "width x model"}


def test_layouts_of_experts():
    layouts = dict(candidates.layouts(["rows", "columns"], {*DENSE, "experts"}))
    assert layouts["data x model"]["experts"] == "rows"
