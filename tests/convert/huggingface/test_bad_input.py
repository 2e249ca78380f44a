"""Folders that cannot be imported: one message each, and nothing is written."""

import json
import os
import pickle
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

import t5_imports  # noqa: F401  Registers what gin files name.
from primer.convert import safe_tensors
from primer.convert.huggingface import folder
from primer.errors import RunError, UsageError
from tests.convert.huggingface import golden_folders, test_round_trip


@pytest.fixture
def llama(tmp_path):
    """Returns (the folder of a model, its configuration, its weights)."""
    config, state = golden_folders.write(tmp_path / "theirs", "llama")
    return tmp_path / "theirs", config, state


def refused(source, config, error=UsageError):
    """Returns the message with which a folder is refused; nothing is left beside it."""
    run = source.parent / "run"
    with pytest.raises(error) as found:
        test_round_trip.bring_in(source, run, config)
    assert [path.name for path in source.parent.iterdir()] == [source.name]
    message = str(found.value)
    assert "\n" not in message
    return message


def with_config(source, config):
    (source / "config.json").write_text(json.dumps(config))
    return config


def test_a_configuration_without_a_counterpart(llama):
    source, config, _ = llama
    assert "'mamba' has no counterpart: expected one of gpt2" in refused(
        source, with_config(source, {**config, "model_type": "mamba"})
    )
    assert "activation is 'sinus': expected one of gelu" in refused(
        source, with_config(source, {**config, "hidden_act": "sinus"})
    )
    scaled = {**config, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}
    assert "rotary positions are scaled (yarn)" in refused(source, with_config(source, scaled))
    short = {key: value for key, value in config.items() if key != "intermediate_size"}
    assert "no intermediate_size, which llama needs" in refused(source, with_config(source, short))
    (source / "config.json").write_text("{}")
    assert "has no model_type" in refused(source, config)
    (source / "config.json").write_text("[1]")
    assert "expected a JSON object" in refused(source, config, RunError)
    (source / "config.json").write_text('{"a": ')
    assert "config.json cannot be read" in refused(source, config, RunError)
    (source / "config.json").unlink()
    assert "has no config.json" in refused(source, config)


def test_weights_that_are_not_those_of_the_model(llama):
    source, config, state = llama

    def saved(arrays):
        save_file(arrays, source / "model.safetensors")

    norm = "model.norm.weight"
    saved({name: array for name, array in state.items() if name != norm})
    assert f"no {norm}, which this model needs" in refused(source, config)
    saved({**state, "model.extra.weight": state[norm]})
    assert "model.extra.weight, which this model has not" in refused(source, config)
    saved({**state, norm: np.zeros(3, np.float32)})
    assert f"is [{config['hidden_size']}] in the model, and [3] in" in refused(source, config)
    saved({**state, norm: np.zeros(3, np.int64)})
    assert f"{norm} is int64" in refused(source, config, RunError)
    content = (source / "model.safetensors").read_bytes()
    (source / "model.safetensors").write_bytes(content[: len(content) // 2])
    assert "no file of safetensors, or damaged" in refused(source, config, RunError)
    (source / "model.safetensors").unlink()
    assert "has no weights: expected model.safetensors or pytorch_model.bin" in refused(
        source, config
    )


def test_a_missing_shard_is_named(llama):
    source, config, state = llama
    (source / "model.safetensors").unlink()
    safe_tensors.write(source, state, shard_bytes=40_000)
    shards = sorted(path.name for path in source.glob("model-*"))
    assert len(shards) > 1
    np.testing.assert_array_equal(
        folder.read_weights(str(source))["model.norm.weight"], state["model.norm.weight"]
    )
    os.remove(source / shards[1])
    assert f"has no {shards[1]}, one of the {len(shards)} files" in refused(source, config)


def test_pickled_code_does_not_run(llama):
    source, config, _ = llama
    (source / "model.safetensors").unlink()

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(source.parent / "made_by_a_pickle"),)

    with zipfile.ZipFile(source / "pytorch_model.bin", "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({"model.norm.weight": Evil()}))
    assert "it names posix.mkdir, which is not read" in refused(source, config, RunError)
    (source / "pytorch_model.bin").write_bytes(b"PK nothing")
    assert "pytorch_model.bin cannot be read" in refused(source, config, RunError)


def test_a_task_of_other_ids_and_a_directory_with_files(llama):
    source, config, _ = llama
    one_more = {**config, "vocab_size": config["vocab_size"] + 1}
    assert f"has {one_more['vocab_size']} token ids, and the model {config['vocab_size']}" in (
        refused(source, one_more)
    )
    (source.parent / "run").mkdir()
    (source.parent / "run" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists already: name a new folder"):
        test_round_trip.bring_in(source, source.parent / "run", config)
    assert os.listdir(source.parent / "run") == ["notes.txt"]
