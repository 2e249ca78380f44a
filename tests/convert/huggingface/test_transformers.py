"""Exports in the library itself: the golden logits, and the loss that `primer eval` reports.

Needs PyTorch and transformers in .venv-torch (`make env-torch`).
"""

import json
import os
import subprocess

import numpy as np
import pytest
import tensorflow as tf

import t5_imports  # noqa: F401  Registers what gin files name.
from primer import cli
from primer.convert import exporting, safe_tensors
from tests.convert.huggingface import golden_folders, test_round_trip
from tests.paths import ROOT

PYTHON = ROOT / ".venv-torch" / "bin" / "python"
SCRIPT = ROOT / "tests" / "convert" / "huggingface" / "torch_side.py"


def _has_transformers():
    folders = (ROOT / ".venv-torch").glob("lib/python3*/site-packages/transformers")
    return PYTHON.exists() and any(folders)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _has_transformers(), reason="needs .venv-torch: make env-torch"),
]


def ask(folder, tmp_path, **asked):
    """Returns what transformers computes from an export."""
    given, output = tmp_path / "asked.json", tmp_path / "answer.npz"
    given.write_text(json.dumps(asked))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    environment["HF_HOME"] = str(tmp_path / "hub")  # Copies of the files of trust_remote_code.
    subprocess.run([PYTHON, SCRIPT, folder, given, output], check=True, env=environment)
    with np.load(output) as found:
        return dict(found)


@pytest.mark.parametrize("family", golden_folders.FAMILIES)
def test_an_imported_model_exported_computes_the_golden_logits(family, tmp_path):
    golden = golden_folders.arrays(family)
    config, _ = golden_folders.write(tmp_path / "theirs", family)
    test_round_trip.bring_in(tmp_path / "theirs", tmp_path / "run", config)
    exporting.run(str(tmp_path / "run"), str(tmp_path / "out"), "huggingface")
    asked = {"ids": golden["ids"].tolist()}
    if "greedy_from_6" in golden:
        expected = golden["greedy_from_6"]
        asked |= {"prompt": expected[0, :6].tolist(), "new_tokens": expected.shape[1] - 6}
    found = ask(tmp_path / "out", tmp_path, **asked)
    np.testing.assert_allclose(found["logits"], golden["logits"], rtol=0, atol=1e-4)
    if "greedy_from_6" in golden:
        np.testing.assert_array_equal(found["greedy"][0], expected[0])


def test_a_trained_model_exported_has_the_loss_of_primer_eval(tmp_path, capfd):
    run, out = str(tmp_path / "run"), str(tmp_path / "out")
    command = ["train", "--architecture", "llama", "--activation", "swiglu", "--size", "tiny"]
    command += ["--task", "text", "--model_dir", run, "--steps", "4"]
    texts = {
        f"{i}.txt": f"\nThe state of the Union,  {i} times <b>{'é' * i}</b>\n" for i in range(40)
    }
    for name, text in texts.items():
        (tmp_path / "texts").mkdir(exist_ok=True)
        (tmp_path / "texts" / name).write_text(text, encoding="utf-8")
    settings = [f"text_files.glob = '{tmp_path}/texts/*.txt'", "text_files.held_out = 0.5"]
    settings += [
        "utils.run.batch_size = 4",
        'utils.run.sequence_length = {"inputs": 1, "targets": 32}',
    ]
    command += [word for setting in settings for word in ("--gin_param", setting)]
    _primer(*command)
    _primer("eval", "--model_dir", run, "--checkpoints", "4", "--protocol", "packed")
    (row,) = [json.loads(line) for line in _lines(tmp_path / "run" / "eval")]
    _primer("export", "--model_dir", run, "--output", out)
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"{row['nats_per_token']:.4f}" in card and f"{row['tokens']:,}" in card
    found = ask(out, tmp_path, texts=list(texts.values()))
    assert json.loads(str(found["decoded"])) == list(texts.values())
    scores = tmp_path / "scores.jsonl"
    files = sorted((tmp_path / "texts").iterdir())
    _primer("score", "--model_dir", run, "--tokens", "--output", str(scores), *map(str, files))
    rows = [json.loads(line) for line in scores.read_text().splitlines()]
    by_name = dict(zip(texts, json.loads(str(found["token_ids"]))))
    windows = []
    for file, own in zip(files, rows, strict=True):
        assert own["ids"] == [*by_name[file.name], 1]
        windows += [own["ids"][i : i + 32] for i in range(0, len(own["ids"]), 32)]
    # Every window begins with the id 0; what pads it behind its end changes nothing before.
    padded = [[0, *window[:-1], *([0] * (32 - len(window)))] for window in windows]
    logits = ask(out, tmp_path, ids=padded)["logits"].astype(np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nats = -sum(p[np.arange(len(own)), own].sum() for p, own in zip(log_probs, windows))
    assert nats == pytest.approx(sum(own["nats"] for own in rows), rel=1e-5)


def test_factors_of_lora_are_merged(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    command = ["train", "--architecture", "llama", "--activation", "swiglu", "--size", "tiny"]
    command += ["--task", "synthetic", "--model_dir", str(run), "--steps", "2"]
    settings = ["synthetic.vocabulary_size = 97", "lora_rank = 2", "lora_alpha = 6"]
    settings += ["utils.run.batch_size = 2", "learning_rate = 0.1"]
    settings.append('utils.run.sequence_length = {"inputs": 1, "targets": 16}')
    command += ["--optimizer", "adamw"]
    _primer(*command, *(word for setting in settings for word in ("--gin_param", setting)))
    _primer("export", "--model_dir", str(run), "--output", str(out))
    stored = safe_tensors.read(str(out / "model.safetensors"))
    value = tf.train.load_checkpoint(str(run)).get_tensor
    ours = "transformer/block_000/layer_000/SelfAttention/q"
    product = value(f"{ours}_lora_a") @ value(f"{ours}_lora_b")
    assert np.abs(product).max() > 1e-3
    found = stored["model.layers.0.self_attn.q_proj.weight"]
    np.testing.assert_allclose(found.T, value(ours) + 3 * product, rtol=0, atol=1e-6)


def _lines(folder):
    return [line for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]


def _primer(*words):
    with pytest.raises(SystemExit) as ended:
        cli.main(list(words))
    assert ended.value.code == 0
