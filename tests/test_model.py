"""`primer.load`: a trained model scores texts, with the numbers of `primer eval`."""

import json
import shutil

import numpy as np
import pytest

import primer
from primer.errors import UsageError
from tests.command_lines import run


def test_load_scores_texts(small_run):
    import gin

    gin.parse_config("text_files.held_out = 0.5")
    model = primer.load(small_run)
    assert gin.query_parameter("text_files.held_out") == 0.5  # The model's are its own.
    assert model.step == 6 and model.length == 32
    short, long, empty = model.score(["7 times 8 is 56.", "1 times 2 is 2.\n" * 9, ""])
    assert (short.tokens, short.bytes, short.words) == (17, 17, 5)
    assert long.tokens == 16 * 9 + 1 and empty.tokens == 1
    assert 0 < short.nats_per_token < 6
    # A window does not see the one before it: parts of 32 tokens are what the whole is.
    ids = [*model.vocabulary.encode("1 times 2 is 2.\n" * 9), 1]
    parts = [ids[start : start + 32] for start in range(0, len(ids), 32)]
    padded = np.array([part + [0] * (32 - len(part)) for part in parts])
    assert np.sum(model.scorer.nats(padded), dtype=np.float64) == pytest.approx(long.nats)
    model.close()


def test_load_agrees_with_eval(small_run, small_held_out, tmp_path):
    copy = shutil.copytree(small_run, tmp_path / "model")
    assert run("eval", "--model_dir", copy, "--checkpoints", 3) == 0
    (path,) = (copy / "eval").glob("*.jsonl")
    row = json.loads(path.read_text())
    best = json.loads((small_run / "best" / "best.json").read_text())["step"]
    model = primer.load(small_run, checkpoint=3, batch_size=2)
    totals = model.score(small_held_out)
    assert sum(t.tokens for t in totals) == row["tokens"]
    # Documents alone, or in one stream with cuts elsewhere: near, not equal.
    assert sum(t.nats for t in totals) == pytest.approx(row["nats"], rel=0.02)
    assert primer.load(small_run, checkpoint="best").step == best
    with pytest.raises(UsageError, match="no checkpoint of step 5"):
        primer.load(small_run, checkpoint=5)
    with pytest.raises(UsageError, match="expected a list"):
        model.score("a text")
