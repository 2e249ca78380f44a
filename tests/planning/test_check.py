"""Gin files are parsed as a run parses them, and every slot has the place that sets it."""

import gin
import pytest

import t5_imports  # noqa: F401  Registers what gin files name.
from primer.errors import UsageError
from primer.gin_config import config_files, findings, gin_state, shared_slots
from primer.planning import check, structure

FILES = config_files.composition_files("transformer", "relu", "tiny")


@pytest.mark.parametrize("model", config_files.names_of_kind("models"))
def test_every_published_model_parses_and_is_of_installed_files(model):
    files = config_files.published_model_files(model)
    check.parse(files, [])
    made = findings.settings_of_run(files)
    assert all(setting.is_installed(findings.installed_folders()) for setting in made)
    assert shared_slots.find_shared_slots(made) == []
    assert all(line for _, _, line in check._slots(made).values())


def test_the_result_has_files_slots_layers_and_findings():
    params = ["d_ff = 40", "LocalSelfAttention.radius = 3"]
    result = check.check_gin_files(FILES, params, 97)
    assert result.files == FILES
    assert result.slots["d_ff"] == ("40", None, "--gin_param")
    assert result.slots["num_dense_blocks"][:2] == ("%num_layers", "2")
    assert structure.parameters_by_part(result.groups)["embedding"] == 128 * 32
    (finding,) = result.findings.own
    assert (finding.kind, finding.name) == (findings.BINDING, "LocalSelfAttention.radius")


def test_a_setting_that_needs_more_than_one_block():
    """The optimizer is built on one block, which has no second layer to share a table with."""
    params = ["num_value_embeddings = 1"]
    result = check.check_gin_files(FILES, params, 97)
    assert structure.parameters_by_part(result.groups)["value_embedding_0"] == 128 * 32
    assert not result.findings.own
    with pytest.raises(UsageError, match="num_value_embeddings = 1: expected at most half"):
        check.check_gin_files(FILES, [*params, "num_layers = 1"], 97)


@pytest.mark.parametrize(
    "param, message",
    [
        ("weight_stddev = 0", "weight_initializer.weight_stddev = 0: expected a number above 0"),
        ("residual_initializer = 'depth'", ".*'depth': expected None, .scaled_by_depth. or .zero."),
        ("max_length = 100", "max_length = 100 positions have an embedding, the text has 512"),
        ("positions = 'rope'", "positions = 'rope': expected one of .t5_bias_shared"),
        ("logit_cap = 0", "TokenEmbedding.logit_cap = 0: expected a number above 0, or None"),
    ],
)
def test_invalid_values_of_slots(param, message):
    with pytest.raises(UsageError, match=f"^the model cannot be built: {message}"):
        check.check_gin_files(FILES, ["positions = 'learned'", param], 97)


def test_gins_own_configuration_is_restored():
    gin.parse_config("own = 5")
    with pytest.raises(UsageError, match="the model cannot be built"):
        check.check_gin_files(FILES, ["d_kv = 'x'"], 97)
    assert dict(gin_state.bindings()) == {("own", gin_state.MACRO): {"value": 5}}


def test_every_missing_slot_is_named():
    with pytest.raises(UsageError, match="d_ff, .*d_model, .*: nothing sets these slots"):
        check.check_gin_files(FILES[:-1], [], 97)
    with pytest.raises(UsageError, match="^mine: nothing sets this slot; give a file of sizes/"):
        check.check_gin_files(FILES, ["SelfAttention.dropout_rate = %mine"], 97)
