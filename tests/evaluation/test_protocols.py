"""Protocols: their settings, their descriptions, and the loss of every token, without a model."""

import gin
import numpy as np
import pytest

from primer.errors import UsageError
from primer.evaluation import protocols, tokenized_split


class Uniform:
    """Stands in for a scorer: each token costs its own id, and windows are remembered."""

    length, rows, memory = 4, 2, None

    def __init__(self):
        self.seen = []

    def nats(self, targets, segments):
        self.seen.append(targets[segments > 0])
        return np.where(segments > 0, targets, 0).astype(np.float32)


def tokens(ids, *lengths):
    """A text of tokens alone, in documents of these lengths or in one."""
    ids = np.asarray(ids, np.int32)
    return tokenized_split.from_tokens(ids, lengths or [len(ids)], 1)


@pytest.mark.parametrize("name", ["stream", "document", "packed", "sliding"])
@pytest.mark.parametrize("seed", range(5))
def test_every_token_is_scored_once_in_the_order_of_the_text(name, seed):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 11, 30)
    text = tokens(generator.integers(1, 99, lengths.sum()), *lengths)
    scorer, shares = Uniform(), []
    protocol = protocols.Protocol(name, 3 if name == "sliding" else None)
    np.testing.assert_array_equal(protocol.token_nats(scorer, text, shares.append), text.ids)
    assert shares == sorted(shares) and shares[-1] == 1
    if name != "sliding":
        seen = np.concatenate(scorer.seen)
        np.testing.assert_array_equal(np.sort(seen), np.sort(text.ids))


def test_a_total_is_the_sum_over_all_windows():
    made = tokenized_split.from_documents([("x", range(2, 9)), ("y", [20])], 1)
    scorer, shares = Uniform(), []
    found = protocols.Protocol("stream").evaluate(scorer, made, shares.append)
    assert found.nats == sum(range(2, 9)) + 20 + 2 and found.end_nats == 2
    assert (found.tokens, found.bytes, found.characters) == (10, 4, 4)
    assert (found.words, found.documents) == (2, 2)
    np.testing.assert_array_equal(np.concatenate(scorer.seen), made.ids)
    assert shares == [2 / 3, 1.0]


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(name="packd"), "expected one of stream, document, packed, sliding, as_released"),
        (dict(name="sliding"), "protocol.stride .* = None: expected 1 or more tokens between two"),
        (dict(name="sliding", stride=0), "protocol.stride .* = 0:"),
        (dict(name="sliding", stride=2.0), "protocol.stride .* = 2.0:"),
        (dict(name="packed", stride=8), "protocol.stride = 8 .* is for the protocol sliding"),
        (dict(units=["words"]), "protocol.units has 'words': expected some of nats_per_token"),
    ],
)
def test_invalid_protocol_settings_are_refused(settings, message):
    for name, value in settings.items():
        gin.bind_parameter(f"protocol.{name}", value)
    with pytest.raises(UsageError, match=message) as error:
        protocols.configured_protocol()
    assert len(str(error.value).splitlines()) == 1


def test_a_stride_longer_than_the_window_is_refused():
    protocol = protocols.Protocol("sliding", 17)
    with pytest.raises(UsageError, match="protocol.stride = 17 .* window of 16 tokens"):
        protocol.check_stride(16)
    protocol.check_stride(17)
    assert protocol.label == "sliding_17" and protocols.configured_protocol().label == "stream"


def test_a_description_names_split_windows_and_caveats():
    for name in ("stream", "document", "packed"):
        said = protocols.Protocol(name).describe("test", 16, ["A caveat."])
        assert said.startswith("Whole test split") and "16 tokens" in said
        assert said.endswith("A caveat.")
    assert "at least 12 tokens" in protocols.Protocol("sliding", 4).describe("test", 16)
