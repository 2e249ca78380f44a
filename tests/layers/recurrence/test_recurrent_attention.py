"""Segments with memory against attention without, against windows and rows with a state."""

import numpy as np
import pytest

from primer.common import graph_marks
from primer.generation.step_graph import StepGraph
from tests import gin_models
from tests.layers import composition_checks, helpers
from tests.layers.recurrence import recurrent_runs

TARGETS = np.random.default_rng(0).integers(2, 97, [2, 12])
# With each kind of positions that a memory may have, and with convolutions.
ARCHITECTURES = pytest.mark.parametrize(
    "architecture",
    ["primer"]
    + [
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("llama", "transformer", "gpt_neox", "qwen3")
    ],
)
DEEP = ("num_layers = 2", "num_dense_blocks = 2")


def case(architecture, *bindings):
    return composition_checks.Case(tuple(gin_models.files(architecture)), (*DEEP, *bindings))


def logits(case, targets=TARGETS):
    return recurrent_runs.at_once(case.build(), composition_checks.variables_of(case), targets)[0]


@ARCHITECTURES
def test_a_memory_of_the_whole_row_is_attention_without_segments(architecture):
    plain = logits(case(architecture))
    segments = case(architecture, "memory_length = 12", "segment_length = 4")
    np.testing.assert_allclose(logits(segments), plain, rtol=0, atol=1e-5)


@ARCHITECTURES
def test_memory_changes_what_a_segment_sees(architecture):
    """Position 7 in segments of 4 with a memory of 3 sees positions 1 to 7."""
    found = [
        logits(case(architecture, f"memory_length = {n}", "segment_length = 4")) for n in (1, 3)
    ]
    np.testing.assert_allclose(found[0][:, :4], found[1][:, :4], rtol=0, atol=1e-5)
    assert np.abs(found[0][:, 5:] - found[1][:, 5:]).max() > 1e-3


@ARCHITECTURES
@pytest.mark.parametrize("segment_length", [3, pytest.param(5, marks=pytest.mark.slow)])
def test_same_length_is_a_window(architecture, segment_length):
    """Also with segments that do not divide the row."""
    window = case(architecture, 'attention_kinds = ["local"]', "window = 5")
    same = case(
        architecture,
        "memory_length = 5",
        f"segment_length = {segment_length}",
        "same_length = True",
    )
    np.testing.assert_allclose(logits(same), logits(window), rtol=0, atol=1e-5)


@ARCHITECTURES
@pytest.mark.parametrize("memory", [7, pytest.param(2, marks=pytest.mark.slow)])
def test_rows_that_carry_a_state_equal_segments_of_a_row(architecture, memory):
    segments = case(architecture, f"memory_length = {memory}", "segment_length = 4")
    model, variables = segments.build(), composition_checks.variables_of(segments)
    rows = np.split(TARGETS, 3, axis=1)
    found, _ = recurrent_runs.carried(model, variables, rows)
    np.testing.assert_allclose(found, logits(segments), rtol=0, atol=1e-5)


@ARCHITECTURES
def test_rows_with_a_state_and_several_segments_equal_one_row(architecture):
    segments = case(architecture, "memory_length = 5", "segment_length = 2")
    model, variables = segments.build(), composition_checks.variables_of(segments)
    found, _ = recurrent_runs.carried(model, variables, np.split(TARGETS, 3, axis=1))
    np.testing.assert_allclose(found, logits(segments), rtol=0, atol=1e-5)


@ARCHITECTURES
def test_gradients_of_segments_are_those_of_rows(architecture):
    """The gradient stops at the memory: of a row in segments it is the sum of those of the rows."""
    settings = ("memory_length = 7", "segment_length = 4", "carry_memory = True")
    segments = case(architecture, *settings)
    model, variables = segments.build(), composition_checks.variables_of(segments)
    _, row = recurrent_runs.at_once(model, variables, TARGETS, "train", gradients=True)
    rows = np.split(TARGETS, 3, axis=1)
    _, sums = recurrent_runs.carried(model, variables, rows, "train", gradients=True)
    for name, gradient in sums.items():  # The loss is a mean over positions.
        np.testing.assert_allclose(gradient / 3, row[name], rtol=1e-4, atol=1e-6, err_msg=name)
    _, whole = recurrent_runs.at_once(
        case(architecture).build(), variables, TARGETS, "train", gradients=True
    )
    assert max(np.abs(whole[name] - row[name]).max() for name in row) > 1e-4


@pytest.mark.parametrize(
    "bindings, remark",
    [
        ([], "memory_length = 4 has no effect in training"),
        (["segment_length = 12"], "memory_length = 4 has no effect in training"),
        (["segment_length = 4"], None),
    ],
)
def test_a_memory_without_effect_is_remarked(bindings, remark):
    model = case("transformer", "memory_length = 4", *bindings).build()
    with helpers.bench() as b:
        ids = b.put(TARGETS.astype(np.int32), "batch", "length")
        model.call_simple(inputs=ids, targets=ids, compute_loss=True, mode="train")
        remarks = graph_marks.remarks()
    assert [r.startswith(remark or " ") for r in remarks if "memory" in r] == [True] * bool(remark)


def test_an_evaluation_without_memory_is_that_of_rows_alone():
    segments = case("primer", "memory_length = 7", "memory_length_eval = 0")
    model = segments.build()
    assert not model.layer_stack.carried_parts(model.model_dim, "float32", train=False)
    np.testing.assert_allclose(logits(segments), logits(case("primer")), rtol=0, atol=1e-5)


def test_another_text_in_a_row_sees_no_memory():
    segments = case("primer", "memory_length = 7", "segment_length = 4")
    model, variables = segments.build(), composition_checks.variables_of(segments)
    rows = np.split(TARGETS, 3, axis=1)
    ids = [np.ones_like(rows[0]), np.full_like(rows[0], 2), np.full_like(rows[0], 2)]
    found, _ = recurrent_runs.carried(model, variables, rows, ids=ids)
    alone, _ = recurrent_runs.carried(model, variables, rows[1:])
    # The first input of the second text is the last token of the first in the one, 0 in the other.
    again, _ = recurrent_runs.carried(model, variables, rows[1:], ids=ids[1:])
    np.testing.assert_allclose(alone, again, rtol=0, atol=1e-6)
    first, _ = recurrent_runs.carried(model, variables, rows[:1])
    np.testing.assert_allclose(found[:, :4], first, rtol=0, atol=1e-5)


@ARCHITECTURES
@pytest.mark.parametrize("same_length", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_steps_equal_teacher_forcing(architecture, same_length, tmp_path):
    settings = ("memory_length = 3", "segment_length = 2", f"same_length = {same_length}")
    composition_checks.check_steps(case(architecture, *settings), tmp_path)


@ARCHITECTURES
def test_rows_on_a_mesh(architecture):
    segments = case(architecture, "memory_length = 3", "segment_length = 2")
    composition_checks.check_mesh(segments, composition_checks.MESH)


@ARCHITECTURES
def test_packed_rows(architecture):
    segments = case(architecture, "memory_length = 3", "segment_length = 2")
    composition_checks.check_causality(segments)
    # Segments are those of the row, wherever a text begins in it: only with as many keys for each
    # query a text does not depend on its place.
    composition_checks.check_packing(
        case(architecture, "memory_length = 3", "segment_length = 2", "same_length = True")
    )


@ARCHITECTURES
def test_decoding_goes_on_beyond_the_length_of_its_graph(architecture, tmp_path):
    """Keys are in a ring: a token costs the same at any position."""
    long = np.random.default_rng(2).integers(2, 97, [2, 40])
    segments = case(architecture, "memory_length = 5", "segment_length = 4")
    expected = logits(segments, long)
    variables = composition_checks.variables_of(segments)
    graph = StepGraph(segments.build(), 2, 8)
    graph.restore(composition_checks.save(variables, tmp_path / "model.ckpt-1"))
    graph.read_prompts([row[:6] for row in long])
    for position in range(6, 40):
        found = graph.next_logits(long[:, position - 1], np.array([position, position]))
        np.testing.assert_allclose(found, expected[:, position], rtol=0, atol=1e-4)
    graph.close()


def test_a_state_on_a_mesh():
    segments = case("primer", "memory_length = 3", "segment_length = 2")
    variables = composition_checks.variables_of(segments)
    rows = np.split(TARGETS, 3, axis=1)
    expected, _ = recurrent_runs.carried(segments.build(), variables, rows)
    mesh = composition_checks.MESH
    found, _ = recurrent_runs.carried(segments.build(**mesh), variables, rows, **mesh)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_length_that_is_split_is_refused():
    layout = dict(mesh_shape="rows:2", layout="length:rows")
    segments = case("transformer", "memory_length = 3")
    with pytest.raises(ValueError, match="splits the length over 2 processors"):
        helpers.call(
            segments.build(**layout), composition_checks.variables_of(segments), TARGETS, **layout
        )
