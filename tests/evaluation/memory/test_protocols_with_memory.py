"""Whole splits under models with memory: a memory of everything is one long window."""

import numpy as np
import pytest

from primer.errors import UsageError
from primer.evaluation.memory.pairs import nats_and_best
from primer.evaluation.protocols import Protocol
from primer.evaluation.scores import streaming
from primer.evaluation.scores.documents import Chunk
from primer.evaluation.tokenized_split import from_tokens
from tests.evaluation.memory import models

TEXT = (29, 3, 8, 17, 1, 22)
ARCHITECTURES = pytest.mark.parametrize("architecture", ["primer", "llama"])
SLOW = pytest.mark.slow


def nats(protocol, *bindings, architecture="primer", text=None, **settings):
    models.configure(architecture, *bindings)
    text = models.text(*TEXT) if text is None else text
    return Protocol(*protocol).token_nats(models.scorer(**settings), text)


@ARCHITECTURES
def test_a_memory_of_everything_is_one_long_window(architecture):
    """Each document is read window after window, and forgets the one before it."""
    carried = nats(["document"], "memory_length = 32", architecture=architecture)
    whole = nats(["document"], architecture=architecture, length=32)
    np.testing.assert_allclose(carried, whole, rtol=0, atol=1e-5)
    cut = nats(["document"], architecture=architecture)
    assert np.abs(cut - whole)[8:29].max() > 1e-3


@pytest.mark.parametrize(
    "architecture, memory",
    [("primer", 8), *(pytest.param(*p, marks=SLOW) for p in [("primer", 3), ("llama", 3)])],
)
def test_a_stream_does_not_depend_on_the_batch(architecture, memory):
    text = models.text(200, 93)
    found = [
        nats(["stream"], f"memory_length = {memory}", architecture=architecture, text=text, rows=r)
        for r in (1, 4, 7)
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "architecture, settings",
    [
        ("llama", []),
        ("llama", ["segment_length_eval = 3"]),
        pytest.param("primer", ["zero_memory = True"], marks=SLOW),
    ],
)
def test_packed_is_document(architecture, settings):
    """Also where a text depends on its place in a row: then documents have rows of their own."""
    bindings, text = ["memory_length = 1", *settings], models.text(29, 2, 5, 17, 1, 22)
    found = [
        nats([name], *bindings, architecture=architecture, text=text)
        for name in ("document", "packed")
    ]
    np.testing.assert_allclose(*found, rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", ["llama", pytest.param("primer", marks=SLOW)])
def test_with_same_length_the_window_does_not_matter(architecture):
    settings = ["memory_length = 6", "same_length = True"]
    text = models.text(40, 23)
    found = [
        nats(["stream"], *settings, *more, architecture=architecture, text=text, length=length)
        for length, more in [(8, []), (5, []), (16, ["segment_length_eval = 3"])]
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=0, atol=1e-5)


def test_rows_of_a_mesh_keep_their_memory():
    settings = ["memory_length = 6"]
    text = models.text(70, 23)
    expected = nats(["stream"], *settings, architecture="llama", text=text)
    models.configure("llama", *settings)
    mesh = dict(mesh_shape="rows:2,columns:2", layout_rules="batch:rows,heads:columns")
    found = Protocol("stream").token_nats(models.scorer(4, **mesh), text)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_chunks_of_a_stream_go_on_where_the_last_one_ended():
    models.configure("primer", "memory_length = 6")
    scorer, text = models.scorer(), models.text(5, 60, 1, 30, 44)
    parts = [
        Chunk([], [], from_tokens(ids, [len(ids)], 1))
        for ids in np.split(text.ids, text.starts[1:])
    ]
    found = streaming.score_chunks(Protocol("stream"), scorer, iter(parts))
    expected = Protocol("stream").token_nats(scorer, text)
    joined = np.concatenate([nats for _, nats in found])
    np.testing.assert_allclose(joined, expected, rtol=0, atol=1e-5)


def test_pairs_longer_than_a_window_are_read_with_memory():
    models.configure("llama", "memory_length = 32")
    pairs = [([5, 6, 7] * 4, [8, 9]), ([], [4]), ([], []), ([3], [9] * 10)]
    ends = np.cumsum([len(a) + len(b) for a, b in pairs])
    text = from_tokens(np.concatenate([a + b for a, b in pairs]).astype(np.int32), [14, 1, 11], 0)
    found, _ = nats_and_best(models.scorer(), pairs)
    expected = nats(["document"], architecture="llama", length=32, text=text)
    assert len(found) == ends[-1]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_rows_without_a_protocol_begin_with_empty_memory():
    """As those of the harness and of `mode = "perplexity_eval"`."""
    models.configure("primer", "memory_length = 6")
    made, rows = models.scorer(2), models.text(32).ids.reshape(4, 8)
    first = made.nats(rows)
    np.testing.assert_array_equal(made.nats(rows), first)
    released = models.scorer(2, as_released=True)
    assert released.memory is None
    np.testing.assert_allclose(released.nats(rows), first, rtol=0, atol=1e-5)


def test_sliding_is_refused():
    with pytest.raises(UsageError, match="sliding.* this model has memory") as error:
        Protocol("sliding", 4).check_model(is_masked=False, has_memory=True)
    assert len(str(error.value).splitlines()) == 1
