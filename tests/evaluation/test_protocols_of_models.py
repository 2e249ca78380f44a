"""Protocols with real models: `packed` equals `document`, `sliding` a loop over all tokens."""

import gin
import numpy as np
import pytest

from primer.evaluation.protocols import Protocol
from primer.gin_config import isolation
from tests import gin_models, slow
from tests.evaluation import tiny

QUICK = {("primer", None), ("synthesizer", "switch")}
ALL = gin_models.as_params(gin_models.run_compositions(), QUICK.__contains__)

PROTOCOLS = [
    Protocol("stream"),
    Protocol("document"),
    Protocol("packed"),
    Protocol("sliding", 5),
]


@pytest.mark.parametrize("composition", ALL)
def test_packed_is_document_to_the_token(composition):
    architecture, overlay = composition
    gin_models.parse(gin_models.files(architecture, overlay=overlay), ["dropout_rate = 0.0"])
    scorer = tiny.scorer(4)
    tiny.randomize(scorer, 0.4)
    text = tiny.text()
    alone = Protocol("document").token_nats(scorer, text)
    packed = Protocol("packed").token_nats(scorer, text)
    assert Protocol("packed").cut(text, 16).num_rows < Protocol("document").cut(text, 16).num_rows
    assert np.std(alone) > 0.1
    crosses = gin_models.architecture_slots(architecture)["convolution_crosses_texts"]
    assert (np.abs(packed - alone).max() > 1e-4) == crosses
    # It says so.
    assert any("the text before its own" in caveat for caveat in scorer.caveats) == crosses
    # The documents of a stream see each other.
    assert np.abs(Protocol("stream").token_nats(scorer, text) - alone).max() > 0.01


@pytest.fixture(scope="module")
def scorer():
    """A scorer of Primer with batches of three rows."""
    with isolation.isolated():
        tiny.configure()
        made = tiny.scorer(3)
        tiny.randomize(made)
        yield made


@pytest.mark.parametrize("stride", [1, 5, 16])
def test_sliding_is_a_loop_over_the_context_of_every_token(scorer, stride):
    text = tiny.text()
    number, length = len(text.ids), tiny.LENGTH
    rows, columns = np.zeros([number, length], np.int32), []
    for token in range(number):
        start = 0 if token < length else -(-(token + 1 - length) // stride) * stride
        assert token < length or length - stride <= token - start < length
        rows[token, : token + 1 - start] = text.ids[start : token + 1]
        columns.append(token - start)
    expected = scorer.nats(rows)[np.arange(number), columns]
    nats = Protocol("sliding", stride).token_nats(scorer, text)
    np.testing.assert_allclose(nats, expected, rtol=0, atol=1e-4)
    if stride == length:
        stream = Protocol("stream").token_nats(scorer, text)
        np.testing.assert_array_equal(nats, stream)


@pytest.mark.parametrize(
    "rows, mesh_shape",
    slow.all_but([(7, "")], [(1, ""), (7, ""), (4, "batch:2,model:2")]),
)
def test_batch_size_and_mesh_do_not_change_the_numbers(scorer, rows, mesh_shape):
    tiny.configure()
    layout = "batch:batch,d_ff:model,heads:model,vocab:model"
    other = tiny.scorer(rows, mesh_shape, layout if mesh_shape else "")
    tiny.randomize(other)
    text = tiny.text()
    for protocol in PROTOCOLS:
        first, second = (protocol.token_nats(made, text) for made in (scorer, other))
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-4)
        assert first.sum(dtype=np.float64) == pytest.approx(second.sum(dtype=np.float64), rel=1e-6)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.label)
def test_the_same_batch_gives_the_same_bits(scorer, protocol):
    text = tiny.text()
    first = protocol.token_nats(scorer, text)
    np.testing.assert_array_equal(protocol.token_nats(scorer, text), first)
    assert protocol.evaluate(scorer, text) == protocol.evaluate(scorer, text)


@pytest.mark.parametrize("name", ["document", "packed"])
def test_the_order_of_documents_does_not_change_the_numbers(scorer, name):
    documents = [("x", ids) for ids in np.split(np.arange(3, 93), [5, 6, 40, 44, 70])]
    shuffled = [documents[place] for place in (3, 0, 5, 1, 4, 2)]
    totals = [
        Protocol(name).evaluate(scorer, tiny.from_documents(d, 1)) for d in (documents, shuffled)
    ]
    assert totals[0].nats == pytest.approx(totals[1].nats, rel=1e-6)
    assert totals[0].standard_error == pytest.approx(totals[1].standard_error, rel=1e-4)


def test_experts_drop_tokens_as_released_only():
    gin_models.parse(gin_models.files("transformer", overlay="switch"))
    gin.parse_config("capacity_factor_eval = 0.5")
    released = tiny.scorer(4, as_released=True)
    exact = tiny.scorer(4)
    ids = np.random.default_rng(0).integers(3, tiny.VOCABULARY, [4, tiny.LENGTH])
    results = []
    for made in (released, exact):
        tiny.randomize(made)
        alone = np.concatenate(
            [made.nats(np.where(np.arange(4)[:, None] == r, ids, 0)) for r in range(4)]
        )
        results.append(np.abs(made.nats(ids) - alone[[0, 5, 10, 15]]).max())
    assert results[0] > 0.01 and results[1] < 1e-4
