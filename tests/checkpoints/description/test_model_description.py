"""The description of a model, and the first difference of two."""

import pytest
import seqio

from primer.checkpoints.description import model_description


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


def test_a_function_that_an_older_version_named_is_compared_by_its_name():
    now = {"a": [{"function": "scaled", "factor": 2}]}
    assert model_description.first_difference({"a": ["scaled"]}, now) is None
    found = model_description.first_difference({"a": ["other"]}, now)
    assert found == "a [0] function 'other' -> 'scaled'"


def test_the_same_setting_of_two_layers_has_the_same_keys():
    before, now = ([{"size": 1}, {"size": 2}], [{"size": 3}, {"size": 4}])
    found = list(model_description.differences(before, now))
    assert [difference.path for difference in found] == [(0, "size"), (1, "size")]
    assert {difference.keys() for difference in found} == {("size",)}


def test_a_vocabulary_is_described_by_its_size_and_ids():
    byte_ids = model_description.describe_vocabulary(seqio.ByteVocabulary())
    assert byte_ids["size"] == 259
    pair = (seqio.ByteVocabulary(extra_ids=9), seqio.ByteVocabulary())
    assert model_description.describe_vocabulary(pair) == byte_ids
    shifted = model_description.describe_vocabulary(seqio.PassThroughVocabulary(259))
    assert shifted["size"] == 259 and shifted["fingerprint"] != byte_ids["fingerprint"]
    assert model_description.describe_vocabulary(None) == {}


def test_two_sentencepiece_models_that_a_sample_does_not_tell_apart_differ():
    def vocabulary(content):
        one = seqio.PassThroughVocabulary(259)
        one.encode, one.sp_model = (lambda text: [5]), content
        return one

    first, other = (model_description.describe_vocabulary(vocabulary(c)) for c in (b"a", b"b"))
    assert first["fingerprint"] == other["fingerprint"]
    found = model_description.first_difference(first, other)
    assert found is not None and found.startswith("pieces ")
    older = {key: first[key] for key in ("size", "fingerprint")}
    assert model_description.first_difference(older, other) is None


def test_a_model_without_a_layer_stack_is_described_by_its_class():
    model = type("Odd", (), {})()
    assert model_description.describe_model(model) == {"model": "Odd"}
