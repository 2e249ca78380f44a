"""A trained Primer as `primer export --format pytorch` writes it, loaded by transformers."""

import json

import numpy as np

import primer
import t5_imports  # noqa: F401  Registers what gin files name.
from primer.convert import exporting
from tests.convert.huggingface import test_transformers

pytestmark = test_transformers.pytestmark


def test_token_scores_and_tokenizer(tmp_path):
    texts = {f"{i}.txt": f"\nThe state of the Union,  {i} times {'é' * i}\n" for i in range(20)}
    (tmp_path / "texts").mkdir()
    for name, text in texts.items():
        (tmp_path / "texts" / name).write_text(text, encoding="utf-8")
    run, out = str(tmp_path / "run"), tmp_path / "out"
    command = ["train", "--architecture", "primer", "--activation", "squared_relu"]
    command += ["--size", "tiny", "--task", "text", "--model_dir", run, "--steps", "2"]
    settings = [f"text_files.glob = '{tmp_path}/texts/*.txt'", "text_files.held_out = 0.5"]
    settings += ["utils.run.batch_size = 4"]
    settings += ['utils.run.sequence_length = {"inputs": 1, "targets": 64}']
    command += [word for setting in settings for word in ("--gin_param", setting)]
    test_transformers._primer(*command)
    sentences = exporting.run(run, str(out), "pytorch")
    assert "modeling_primer.py" in " ".join(sentences)
    described = json.loads((out / "model.json").read_text())
    assert described["names"]["embedding"] == ["transformer/embedding"]
    scores = primer.load(run).token_scores(list(texts.values()))
    found = test_transformers.ask(out, tmp_path, texts=list(texts.values()))
    assert json.loads(str(found["decoded"])) == list(texts.values())
    assert [own.ids.tolist()[:-1] for own in scores] == json.loads(str(found["token_ids"]))
    longest = max(len(own.ids) for own in scores)
    assert longest <= 64
    rows = [[0, *own.ids[:-1].tolist(), *([0] * (longest - len(own.ids)))] for own in scores]
    logits = test_transformers.ask(out, tmp_path, ids=rows)["logits"].astype(np.float64)
    # Of all rows of the table: those that pad it take part in this model's softmax.
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    for own, row in zip(scores, log_probs):
        expected = row[np.arange(len(own.ids)), own.ids]
        np.testing.assert_allclose(own.log_probs, expected, rtol=0, atol=1e-4)
