"""Training on the paper's three data sets, and evaluation by the original's command and ours.

The data are directories in the exact format of lm1b, c4 and pg19, with texts of our own.
"""

import json
import math
import shutil

import pytest

from primer.launch import engine
from tests.command_lines import run
from tests.data import fabricate
from tests.runtime import tiny

TASKS = {
    "lm1b": (fabricate.LM1B, "lm1b_autoregressive_language_modeling"),
    "c4": (fabricate.C4, "c4_v220_autoregressive_language_modeling"),
    "pg19": (fabricate.PG19, "pg19_autoregressive_language_modeling"),
}
STEPS = 3

pytestmark = pytest.mark.slow

# The settings of the vocabulary, and how many rows its embedding has: a multiple of 128.
BYTES = (['task_vocabulary.name = "bytes"'], 384)


@pytest.fixture(scope="module")
def prepared_dir(eager, tmp_path_factory):
    return fabricate.fabricate(tmp_path_factory.mktemp("tfds"))


def arguments(dataset, prepared_dir, model_dir, settings):
    """The engine's arguments: a tiny Primer, the data set's own file, windows of 64 tokens."""
    files = ["models/defaults.gin", "architectures/primer.gin", "activations/squared_relu.gin"]
    files += [f"datasets/{dataset}.gin", "run/smoke.gin"]
    settings = [*settings, f"utils.run.train_steps = {STEPS}"]
    return [
        "--module_import=t5_imports",
        f"--model_dir={model_dir}",
        f"--t5_tfds_data_dir={prepared_dir}",
        *(f"--gin_file={name}" for name in files),
        *(f"--gin_param={setting}" for setting in settings),
    ]


def validation_texts(dataset):
    """The texts of the task's validation split: of LM1B the last 2% of the training split."""
    prepared, _ = TASKS[dataset]
    if dataset != "lm1b":
        return fabricate.texts(prepared, "validation")
    # Sentence n is in file n % 2, and the split is the end of the files laid end to end.
    texts = fabricate.texts(prepared, "train")
    return [*texts[0::2], *texts[1::2]][-8:]


def check_the_whole_split(dataset, prepared_dir, model_dir, size):
    command = ["eval", "--model_dir", model_dir, "--checkpoints", "latest"]
    assert run(*command, "--t5_tfds_data_dir", prepared_dir) == 0
    _, task = TASKS[dataset]
    protocol = "packed" if dataset == "lm1b" else "stream"
    row = json.loads((model_dir / "eval" / f"{task}_validation_{protocol}.jsonl").read_text())
    texts = validation_texts(dataset)
    assert row["documents"] == len(texts)
    # Of single sentences the end is a word, as papers count them.
    ends = len(texts) if dataset == "lm1b" else 0
    assert row["words"] == sum(len(text.split()) for text in texts) + ends
    assert row["bytes"] == sum(len(text.encode()) + 1 for text in texts)
    if size == 384:
        assert row["tokens"] == row["bytes"]  # Each end is a token, and counted as a byte.
    assert 0.5 * math.log(size) < math.log(row["perplexity_per_token"]) < 1.3 * math.log(size)


def check(dataset, vocabulary, prepared_dir, tmp_path):
    """Trains for a few steps; evaluates as the original's command does, and the whole split."""
    settings, size = vocabulary
    train = arguments(dataset, prepared_dir, tmp_path, settings)
    assert engine.run_main(train) == 0
    assert (tmp_path / f"model.ckpt-{STEPS}.index").exists()
    stock = ['utils.run.mode = "perplexity_eval"', 'utils.run.dataset_split = "validation"']
    stock += [f"utils.run.eval_checkpoint_step = {STEPS}", "utils.run.perplexity_eval_steps = 1"]
    evaluate = [*train, "--gin_file=perplexity_eval.gin"]
    assert engine.run_main([*evaluate, *(f"--gin_param={setting}" for setting in stock)]) == 0
    (events,) = tmp_path.glob("eval_*")
    (nats,) = tiny.scalars(events)["neg_log_perplexity"].values()
    assert -1.3 * math.log(size) < nats < -0.5 * math.log(size)
    check_the_whole_split(dataset, prepared_dir, tmp_path, size)


def test_single_sentences_as_bytes(prepared_dir, tmp_path):
    check("lm1b", BYTES, prepared_dir, tmp_path)


@pytest.mark.parametrize("dataset", ["c4", "pg19"])
def test_documents_as_bytes(dataset, prepared_dir, tmp_path):
    check(dataset, BYTES, prepared_dir, tmp_path)


@pytest.mark.parametrize("dataset", list(TASKS))
def test_with_t5s_vocabulary(dataset, prepared_dir, tmp_path, shared_data):
    model = shared_data / "cc_all.32000.model"
    setting = f'task_vocabulary.model_file = "{model}"'
    check(dataset, ([setting], 32128), prepared_dir, tmp_path)


def test_a_shard_that_is_cut_short_ends_the_run_with_its_name(prepared_dir, tmp_path, capfd):
    shutil.copytree(f"{prepared_dir}/lm1b", tmp_path / "lm1b")
    path = tmp_path / "lm1b/1.1.0/lm1b-train.tfrecord-00000-of-00002"
    path.write_bytes(path.read_bytes()[:5000])
    train = arguments("lm1b", tmp_path, tmp_path / "model", BYTES[0])
    assert engine.run_main([*train, "--gin_param=utils.run.train_steps = 500"]) == 1
    said = capfd.readouterr().err.splitlines()
    (line,) = [line for line in said if line.startswith("primer: ")]
    assert line.startswith(f"primer: {path} is damaged (truncated record at ")
    assert not any("Traceback" in line for line in said)
