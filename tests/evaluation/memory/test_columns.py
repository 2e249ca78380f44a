"""The protocol transformer_xl against loops over its columns, written as its scripts are."""

import numpy as np
import pytest

from primer.errors import UsageError
from primer.evaluation.memory import columns
from primer.evaluation.protocols import Protocol
from tests.evaluation.memory import models

COLUMNS, SEGMENT = 3, 4
TEXT = (20, 31)  # 51 tokens and 3 columns of 17; with 4 columns 3 tokens at the end.


def batches(ids, bptt, ext_len=0, number=COLUMNS):
    """`LMOrderedIterator`: (inputs with ext_len before them, targets), [column, length] each."""
    data = ids[: len(ids) // number * number].reshape(number, -1)
    for i in range(0, data.shape[1] - 1, bptt):
        size = min(bptt, data.shape[1] - 1 - i)
        yield data[:, max(0, i - ext_len) : i + size], data[:, i + 1 : i + 1 + size]


def evaluated(*bindings, architecture="llama", rows=2, ext_len=None, **settings):
    """(text in columns, its loss per token, the totals) by the protocol."""
    models.configure(architecture, *bindings)
    protocol = Protocol("transformer_xl", columns=COLUMNS, ext_len=ext_len)
    text = columns.of_text(models.text(*TEXT), COLUMNS)
    probe = models.reach_of_model()
    length = protocol.row_length(models.LENGTH, probe)
    recomputed = ext_len or 0
    made = models.scorer(rows, length, reads_inputs=True, recomputed=recomputed, **settings)
    nats = protocol.token_nats(made, text)
    return text, nats, protocol.total_of(nats, text)


def in_one_window(length, *bindings, ext_len=0, memory=100):
    """[(losses of a segment, [columns, length])], each from a window with all that it may see."""
    models.configure("llama", *bindings)
    made = models.scorer(COLUMNS, length, reads_inputs=True)
    ids = models.text(*TEXT).ids
    data = ids[: len(ids) // COLUMNS * COLUMNS].reshape(COLUMNS, -1)
    begin, found = 0, []
    for inputs, targets in batches(ids, SEGMENT, ext_len):
        end = begin + targets.shape[1]
        first = max(end - inputs.shape[1] - memory, 0)
        missing = ((0, 0), (0, length - (end - first)))
        read, wanted = (
            np.pad(x, missing) for x in (data[:, first:end], data[:, first + 1 : end + 1])
        )
        losses = made.nats(wanted, np.pad(np.ones([COLUMNS, end - first]), missing), read)
        found.append(losses[:, begin - first : end - first])
        begin = end
    return found


def mean(segments):
    """The total of eval.py."""
    lengths = [found.shape[1] for found in segments]
    return sum(n * found.mean() for n, found in zip(lengths, segments, strict=True)) / sum(lengths)


def test_it_counts_what_the_scripts_count():
    text, nats, total = evaluated("memory_length = 20", f"segment_length_eval = {SEGMENT}")
    segments = in_one_window(20)
    assert total.tokens == sum(found.size for found in segments) == 51 - COLUMNS
    assert total.nats_per_token == pytest.approx(mean(segments), abs=1e-5)
    of_columns = nats.reshape(COLUMNS, -1)
    assert not of_columns[:, 0].any() and of_columns[:, 1:].all()
    np.testing.assert_allclose(of_columns[:, 1:], np.concatenate(segments, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("ext_len", [0, 2, pytest.param(6, marks=pytest.mark.slow)])
def test_a_layer_sees_memory_and_the_tokens_that_are_computed_again(ext_len):
    """Memory of one layer are embeddings, so that a window of all tokens gives the same."""
    one = ["num_layers = 1", "num_dense_blocks = 1"]
    settings = [*one, "memory_length = 3", f"segment_length_eval = {SEGMENT}"]
    _, _, total = evaluated(*settings, ext_len=ext_len)
    segments = in_one_window(3 + ext_len + SEGMENT, *one, ext_len=ext_len, memory=3)
    assert total.nats_per_token == pytest.approx(mean(segments), abs=1e-5)


def test_a_model_without_memory_reads_each_segment_alone():
    text, nats, total = evaluated()
    assert models.reach_of_model() is None and total.tokens == 48
    again = evaluated(rows=5)[1]
    np.testing.assert_allclose(nats, again, rtol=0, atol=1e-5)
    # The first token of a window is predicted from the one before it, not from the start symbol.
    made = models.scorer(1, reads_inputs=True)
    inputs, targets = text.ids[8:16], text.ids[9:17]
    expected = made.nats(targets[None], inputs=inputs[None])[0]
    np.testing.assert_allclose(nats[9:17], expected, rtol=0, atol=1e-5)


def test_the_batch_does_not_matter():
    found = [evaluated("memory_length = 5", rows=rows)[1] for rows in (1, 5)]
    np.testing.assert_allclose(*found, rtol=0, atol=1e-5)


def test_tokens_at_the_end_are_left_out():
    text = columns.of_text(models.text(*TEXT), 4)
    assert text.column_length == 12 and text.scored.sum() == 51 - 4 - 51 % 4
    assert text.counted_lengths.tolist() == [18, 26]
    said = Protocol("transformer_xl", columns=4).describe("test", 8, text=text)
    assert "4 columns of 12 tokens" in said and "tgt_len 8, mem_len 0" in said
    assert "7 of 51 tokens are not scored (the first of each column, and 3 at the end)" in said
    # A character is a token here: the units of characters are those of tokens.
    assert text.characters == text.bytes == 44 and text.words is None


def test_the_label_has_the_columns():
    assert Protocol("transformer_xl").label == "transformer_xl_10"
    assert Protocol("transformer_xl", columns=4, ext_len=8).label == "transformer_xl_4_ext_8"


@pytest.mark.parametrize(
    "message, call",
    [
        ("protocol.columns = 26 .* at most 25", lambda: columns.of_text(models.text(*TEXT), 26)),
        ("protocol.columns .* = 0: expected", lambda: Protocol("transformer_xl", columns=0)),
        ("protocol.ext_len .* = -1: expected", lambda: Protocol("transformer_xl", ext_len=-1)),
        ("protocol.columns = 3 .* is for .* transformer_xl", lambda: Protocol("stream", columns=3)),
        (
            "protocol.ext_len = 4 .* has none .memory_length = None",
            lambda: Protocol("transformer_xl", ext_len=4).check_model(False, False),
        ),
        (
            "sees both sides",
            lambda: Protocol("transformer_xl").check_model(is_masked=True),
        ),
    ],
)
def test_what_cannot_be_counted_is_refused(message, call):
    with pytest.raises(UsageError, match=message) as error:
        call()
    assert len(str(error.value).splitlines()) == 1
