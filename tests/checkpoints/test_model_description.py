"""The description of a model, and the first difference of two."""

import pytest
import seqio

from primer.checkpoints import model_description


@pytest.mark.parametrize(
    "before, now, expected",
    [
        ({"a": 1}, {"a": 1}, None),
        ({"a": [1, 2]}, {"a": [1]}, "a 2 -> 1 entries"),
        ({"a": [{"b": "x"}]}, {"a": [{"b": "y"}]}, "a [0] b 'x' -> 'y'"),
        ({"a": None}, {"a": 1}, "a None -> 1"),
        ({"b": 2}, {"a": 1, "b": 2}, None),
    ],
)
def test_the_first_difference_is_named_by_its_place(before, now, expected):
    assert model_description.first_difference(before, now) == expected


def test_rates_of_dropout_are_not_wiring():
    layers = [type("Layer", (), {})(), type("Layer", (), {})()]
    vars(layers[0]).update(dropout_rate=0.1, size=4)
    vars(layers[1]).update(dropout_rate=0.0, size=4)
    assert (
        model_description._layer(layers[0])
        == model_description._layer(layers[1])
        == {"class": "Layer", "size": 4}
    )


def test_a_vocabulary_is_described_by_its_size_and_ids():
    byte_ids = model_description.describe_vocabulary(seqio.ByteVocabulary())
    assert byte_ids["size"] == 259
    pair = (seqio.ByteVocabulary(extra_ids=9), seqio.ByteVocabulary())
    assert model_description.describe_vocabulary(pair) == byte_ids
    shifted = model_description.describe_vocabulary(seqio.PassThroughVocabulary(259))
    assert shifted["size"] == 259 and shifted["fingerprint"] != byte_ids["fingerprint"]
    assert model_description.describe_vocabulary(None) == {}


def test_a_model_without_a_layer_stack_is_described_by_its_class():
    model = type("Odd", (), {})()
    assert model_description.describe_model(model) == {"model": "Odd"}
