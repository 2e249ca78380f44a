"""A model directory records its model and vocabulary, and refuses others."""

import os

import pytest
import seqio

from primer.checkpoints import model_directory
from primer.checkpoints.description import model_description
from primer.errors import UsageError


def description(stack="LayerStack", activation="relu", capacity_eval=2.0, epsilon=1e-6):
    layers = [{"class": "DenseReluDense", "activation": [activation]}]
    layers += 2 * [{"gating": {"evaluation": {"capacity_factor": capacity_eval}}}]
    return {
        "wiring": {"layer_stack": stack, "layers": layers},
        "configuration": {"norm.epsilon": epsilon},
        "vocabulary": model_description.describe_vocabulary(seqio.ByteVocabulary()),
    }


def test_the_same_model_is_accepted(tmp_path):
    model_directory.write_record(str(tmp_path), description())
    model_directory.check_description(str(tmp_path), description())
    assert sorted(os.listdir(tmp_path)) == ["config.gin", "primer.json"]


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


def test_without_a_record_the_post_norm_of_primer_is_refused(tmp_path):
    with pytest.raises(UsageError, match="primer_as_released"):
        model_directory.check_description(str(tmp_path), description("PrePostNormLayerStack"))
    model_directory.check_description(str(tmp_path), description("LayerStack"))


def test_a_parameter_of_a_function_is_refused_in_training_and_named_to_other_readers(tmp_path):
    model_directory.write_record(str(tmp_path), description())
    other = description(epsilon=1.0)
    with pytest.raises(UsageError, match="another configuration: norm.epsilon 1e-06 -> 1.0; use a"):
        model_directory.check_description(str(tmp_path), other, training=True)
    found = model_directory.check_description(str(tmp_path), other)
    assert found == ["norm.epsilon 1e-06 -> 1.0"]


@pytest.mark.parametrize("training", [False, True])
def test_settings_of_evaluation_may_differ_and_are_named_once(tmp_path, training):
    model_directory.write_record(str(tmp_path), description())
    found = model_directory.check_description(
        str(tmp_path), description(capacity_eval=0.1), training
    )
    assert found == ["layers [1] gating evaluation capacity_factor 2.0 -> 0.1"]


def test_a_record_without_a_configuration_is_one_of_an_older_version(tmp_path):
    older = {key: value for key, value in description().items() if key != "configuration"}
    model_directory.write_record(str(tmp_path), older)
    assert model_directory.check_description(str(tmp_path), description(), training=True) == []


def test_other_keys_of_the_record_are_not_compared(tmp_path):
    variables = {"variables": {"weights": ["a"], "optimizer": []}}
    model_directory.write_record(str(tmp_path), description() | variables)
    model_directory.check_description(str(tmp_path), description())
    assert model_directory.read_record(str(tmp_path))["variables"] == variables["variables"]


def test_a_damaged_record_is_one_clear_error(tmp_path):
    assert model_directory.read_record(str(tmp_path)) is None
    (tmp_path / "primer.json").write_text("{")
    with pytest.raises(UsageError, match="primer.json cannot be read .*backup"):
        model_directory.read_record(str(tmp_path))


def test_averages_are_not_trained(tmp_path):
    model_directory.check_trainable(str(tmp_path))
    (tmp_path / "averaged.json").write_text('{"model_dir": "/runs/a", "averages": {}}')
    with pytest.raises(UsageError, match="continue training in '/runs/a'"):
        model_directory.check_trainable(str(tmp_path))


def test_the_files_of_a_model_are_those_beside_its_checkpoints(tmp_path):
    names = {"config.gin", "operative_config.gin", "primer.json", "vocabulary.txt"}
    for name in (*names, "train.log", "model.ckpt-1.index", "best.json"):
        (tmp_path / name).write_text("")
    found = model_directory.files_of_model(str(tmp_path))
    assert sorted(found) == sorted(str(tmp_path / name) for name in names)
