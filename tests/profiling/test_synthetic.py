"""The profile of a small model on random ids: its operations, layers, FLOPs, tables and files."""

import io
import json

import pytest
import tensorflow.compat.v1 as tf
from matplotlib import image

from primer.planning import run_graph, structure
from primer.profiling import data, rows, synthetic, tables, trace_files
from primer.profiling.profile import INPUT, OUTSIDE
from tests.planning.device_program import models

VOCABULARY = 128  # Without padding.


def measured(architecture, **settings):
    """Returns a model's cost, its groups of layers, and what `synthetic.measured` returns."""
    models.parse(architecture)
    model, graph = run_graph.build_forward(VOCABULARY)
    cost = run_graph.cost_of(model, graph)
    request = synthetic.Request(VOCABULARY, steps=2, warm_up=1, **settings)
    return cost, structure.layer_groups(model, graph, cost), *synthetic.measured(request)


@pytest.fixture(scope="module")
def primer():
    return measured("primer", threads_between=1, threads_within=1)


def test_shares_add_up_and_products_have_the_flops_of_the_model(primer):
    cost, _, profile, _, _ = primer
    found = data.of_profile(profile)
    for name in ("layers", "kinds", "equal_operations"):
        assert sum(row["share"] for row in found[name]) == pytest.approx(1)
        assert sum(row["flops"] for row in found[name]) == pytest.approx(profile.flops)
    assert sum(o["seconds"] for o in found["operations"]) == pytest.approx(profile.seconds)
    # Each projection of rows and not of one row: as in `primer plan`, to 1%.
    tokens = profile.protocol.tokens
    assert profile.useful_flops == pytest.approx(cost.training * tokens, rel=0.01)
    forward = [o for o in profile.operations if o.phase == "forward"]
    assert sum(o.useful_flops for o in forward) == pytest.approx(cost.forward * tokens, rel=0.01)
    per_layer = {row["name"]: row["model_flops"] for row in found["layers"]}
    for layer, number in cost.flops.items():
        if layer.startswith("block_"):
            assert per_layer[layer] == pytest.approx(3 * number * tokens, rel=0.01)


def test_layers_have_the_names_and_classes_of_the_check(primer):
    _, groups, profile, _, _ = primer
    names = {f"{g.name}/{layer.name}": layer.kind for g in groups for layer in g.layers if g.first}
    shown = rows.by_layer(profile)
    assert {row.name: row.kind for row in shown if row.kind} == names
    outside = {row.name for row in shown if not row.kind}
    assert {"embedding", "output", "optimizer"} <= outside
    assert outside <= {"embedding", "output", "optimizer", "stacked", INPUT, OUTSIDE}
    layer = next(row for row in shown if row.kind)
    assert all(layer.phases[phase] > 0 for phase in ("forward", "backward", "update"))


def test_one_thread_runs_one_operation_at_a_time(primer):
    _, _, profile, _, _ = primer
    protocol = profile.protocol
    assert protocol.most_at_once == 1 and protocol.steps == 2 and protocol.warm_up == 1
    assert profile.seconds <= protocol.busy_seconds <= protocol.span_seconds
    assert protocol.span_seconds <= protocol.traced_seconds
    assert protocol.batch == (1, 8, 32) and protocol.batch_text == "8 x 32"


def test_the_tables_have_every_layer_and_the_protocol(primer):
    _, _, profile, _, _ = primer
    text = io.StringIO()
    tables.print_profile(profile, text)
    printed = text.getvalue()
    for words in ("By layer", "By kind of operation", "Equal operations with the most time"):
        assert words in printed
    assert "2 steps untraced and 2 traced, in turns, after 1 to warm up" in printed
    assert "Threads between operations: 1; within: 1." in printed
    assert "block_000-001/layer_000" in printed and "in all" in printed and "100.0%" in printed
    assert max(map(len, printed.split("By layer")[1].split("\n- ")[0].splitlines())) <= 140


def test_the_files_are_those_of_the_viewers(primer, tmp_path):
    _, _, profile, steps, graph = primer
    for _ in range(2):  # The second profile replaces the first one.
        names = trace_files.write(str(tmp_path), profile, steps.traces, graph)
    assert json.loads((tmp_path / names[0]).read_text())["model_flops"] == profile.useful_flops
    assert image.imread(tmp_path / names[1]).std() > 0.05
    events = json.loads((tmp_path / names[2]).read_text())["traceEvents"]
    assert {"Einsum", "MatMul"} & {event["name"] for event in events if event["ph"] == "X"}
    (path,) = tmp_path.glob("events*")
    written = list(tf.train.summary_iterator(str(path)))
    assert any(event.graph_def for event in written)
    tags = [e.tagged_run_metadata.tag for e in written if e.HasField("tagged_run_metadata")]
    assert tags == ["traced_step_1", "traced_step_2"]


def test_an_evaluation_on_a_mesh_has_the_products_of_the_forward_pass():
    mesh = {"mesh_shape": "model:2", "layout_rules": "d_ff:model,heads:model,vocab:model"}
    cost, _, profile, _, _ = measured("transformer", mode="eval", **mesh)
    assert {o.phase for o in profile.operations} <= {"forward", "other"}
    expected = cost.forward * profile.protocol.tokens
    assert profile.useful_flops == pytest.approx(expected, rel=0.01)
