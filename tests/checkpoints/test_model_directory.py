"""A model directory is of one model and one vocabulary, and says so."""

import os

import pytest
import seqio

from primer.checkpoints import model_description, model_directory
from primer.errors import UsageError


def description(stack="LayerStack", activation="relu"):
    layers = [{"class": "DenseReluDense", "activation": [activation]}]
    return {
        "wiring": {"layer_stack": stack, "layers": layers},
        "vocabulary": model_description.describe_vocabulary(seqio.ByteVocabulary()),
    }


def test_the_same_model_may_go_on(tmp_path):
    model_directory.write_record(str(tmp_path), description())
    model_directory.check_description(str(tmp_path), description())
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]


def test_the_same_variables_with_another_activation_are_refused(tmp_path):
    model_directory.write_record(str(tmp_path), description())
    with pytest.raises(UsageError, match=r"another wiring: .*activation.*'relu' -> 'gelu'"):
        model_directory.check_description(str(tmp_path), description(activation="gelu"))


def test_another_vocabulary_is_refused(tmp_path):
    model_directory.write_record(str(tmp_path), description())
    other = {
        **description(),
        "vocabulary": model_description.describe_vocabulary(seqio.ByteVocabulary(extra_ids=9)),
    }
    with pytest.raises(UsageError, match="another vocabulary: size 259 -> 268"):
        model_directory.check_description(str(tmp_path), other)


def test_a_checkpoint_without_a_record_asks_for_primer_as_released(tmp_path):
    with pytest.raises(UsageError, match="primer_as_released"):
        model_directory.check_description(str(tmp_path), description("PrePostNormLayerStack"))
    model_directory.check_description(str(tmp_path), description("LayerStack"))


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
def test_difference_names_the_place(before, now, expected):
    assert model_description.first_difference(before, now) == expected


def test_a_rate_of_dropout_is_no_wiring():
    layers = [type("Layer", (), {})(), type("Layer", (), {})()]
    vars(layers[0]).update(dropout_rate=0.1, size=4)
    vars(layers[1]).update(dropout_rate=0.0, size=4)
    assert (
        model_description._layer(layers[0])
        == model_description._layer(layers[1])
        == {"class": "Layer", "size": 4}
    )
