"""`primer.load` scores and generates text with a trained model."""

import json
import math
import shutil

import gin
import numpy as np
import pytest

import primer
from primer.errors import UsageError
from tests import golden_model
from tests.command_lines import run

TEXTS = ["7 times 8 is 56.", "caf\u00e9 \u2014 \u6f22\u5b57", "2 times 2\tis 4.\n" * 4]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return golden_model.unpack(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def model(model_dir):
    loaded = primer.load(model_dir)
    yield loaded
    loaded.close()


def test_a_model_has_the_latest_checkpoint_and_the_settings_of_its_directory(model, model_dir):
    assert (model.model_dir, model.step, model.length) == (str(model_dir), 6, 32)
    assert model.vocabulary.encode("a") == [ord("a") + 3]


def test_the_scores_of_a_text_are_those_of_its_windows_alone(model):
    for text, total in zip(TEXTS, model.score(TEXTS), strict=True):
        ids = np.array([*(byte + 3 for byte in text.encode()), 1])
        rows = np.zeros([math.ceil(len(ids) / 32), 32], np.int32)
        rows.reshape(-1)[: len(ids)] = ids
        nats = model.scorer.nats(rows).sum(dtype=np.float64)
        assert total.nats == pytest.approx(nats, rel=1e-6)
        assert total.tokens == total.bytes == len(ids)
        assert (total.characters, total.words) == (len(text) + 1, len(text.split()))
        assert total.bits_per_byte == pytest.approx(nats / math.log(2) / len(ids), rel=1e-6)


def test_token_scores_add_up_to_the_scores(model):
    for text, total, tokens in zip(
        TEXTS, model.score(TEXTS), model.token_scores(TEXTS), strict=True
    ):
        assert tokens.ids.tolist() == [*(byte + 3 for byte in text.encode()), 1]
        assert tokens.pieces[-1] == "</s>" and len(tokens.pieces) == len(tokens.ids)
        assert -tokens.log_probs.sum(dtype=np.float64) == pytest.approx(total.nats, rel=1e-12)
        assert total.end_nats == pytest.approx(-tokens.log_probs[-1])


def test_code_that_the_directory_names_needs_agreement(model_dir, tmp_path, monkeypatch):
    copy = shutil.copytree(model_dir, tmp_path / "model")
    (tmp_path / "own_layers.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = copy / "config.gin"
    config.write_text("import own_layers\n" + config.read_text())
    with pytest.raises(UsageError, match=r"trust=\['own_layers'\]"):
        primer.load(copy)
    primer.load(copy, trust=["own_layers"]).close()


def test_no_texts_have_no_scores(model):
    assert model.score([]) == [] == model.token_scores([])


@pytest.mark.parametrize("name", ["score", "token_scores", "generate"])
def test_anything_but_a_list_of_strings_is_refused(model, name):
    with pytest.raises(UsageError, match=f"{name}.*: expected a list of strings, got one string"):
        getattr(model, name)("a text")
    with pytest.raises(UsageError, match=f"{name}.*: expected a list of strings, got int"):
        getattr(model, name)(["a text", 3])


def test_generate_returns_what_the_command_prints(model, model_dir, capfd):
    words = ("--prompt", "7 times", "--max_tokens", 12, "--num_samples", 2, "--seed", 4, "--json")
    assert run("generate", "--model_dir", model_dir, *words) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    rows = sorted(map(json.loads, lines), key=lambda row: row["sample"])
    generated = model.generate(["7 times"], num_samples=2, max_tokens=12, seed=4)
    assert generated == [[row["text"] for row in rows]]


def test_gin_keeps_its_configuration(model, model_dir):
    gin.bind_parameter("run_seed.seed", 99)
    before = gin.config_str()
    primer.load(model_dir, checkpoint=3).close()
    model.generate([""], max_tokens=1)
    assert gin.config_str() == before


def test_a_checkpoint_step_can_be_selected(model_dir, model):
    earlier = primer.load(model_dir, checkpoint=3, batch_size=2)
    assert earlier.step == 3
    assert earlier.score(TEXTS[:1])[0].nats > model.score(TEXTS[:1])[0].nats
    earlier.close()
    with pytest.raises(UsageError, match="no checkpoint of step 4"):
        primer.load(model_dir, checkpoint=4)
