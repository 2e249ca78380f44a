"""A Hugging Face model in and out again: the same weights, and settings of the same model."""

import json

import numpy as np
import pytest

import t5_imports  # noqa: F401  Registers what gin files name.
from primer.convert import exporting
from primer.convert.huggingface import folder, importing, settings
from primer.errors import UsageError
from tests.convert.huggingface import golden_folders


def bring_in(source, model_dir, config, *bindings):
    size = f"synthetic.vocabulary_size = {config['vocab_size']}"
    return importing.run(str(source), str(model_dir), "synthetic", gin_param=[size, *bindings])


@pytest.mark.parametrize("family", golden_folders.FAMILIES)
def test_a_model_in_and_out(family, tmp_path):
    config, state = golden_folders.write(tmp_path / "theirs", family)
    found = bring_in(tmp_path / "theirs", tmp_path / "run", config)
    assert found.family == family
    exporting.run(str(tmp_path / "run"), str(tmp_path / "out"), "huggingface")
    again = folder.read_weights(str(tmp_path / "out"))
    tied = config.get("tie_word_embeddings", family in ("gpt2", "gpt_neo", "gemma2"))
    # A tied output and buffers are not stored twice.
    left_out = {"lm_head.weight"} if tied else set()
    assert {name for name in set(state) - set(again)} <= left_out | _buffers(state)
    for name, array in again.items():
        np.testing.assert_allclose(array, state[name], rtol=0, atol=1e-6, err_msg=name)
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert settings.OF_FAMILY[family](written).slots == settings.OF_FAMILY[family](config).slots
    assert written["vocab_size"] == config["vocab_size"]


def _buffers(state):
    return {name for name in state if name.endswith(("attn.bias", "masked_bias", "inv_freq"))}


def test_a_model_that_no_class_computes_is_refused_with_the_nearest(tmp_path):
    config, _ = golden_folders.write(tmp_path / "theirs", "llama")
    run = tmp_path / "run"
    bring_in(tmp_path / "theirs", run, config, "attention_extra_logit = 0.0")
    with pytest.raises(UsageError, match="the nearest is llama, which differs in: .*extra_logit"):
        exporting.run(str(run), str(tmp_path / "out"), "huggingface")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "theirs"]
    exporting.run(str(run), str(tmp_path / "out"), "npz")
    with np.load(tmp_path / "out" / "model.npz") as found:
        description = json.loads((tmp_path / "out" / "model.json").read_text())
        assert {name: list(found[name].shape) for name in found} == description["shapes"]
    assert description["slots"]["attention_extra_logit"] == 0.0
