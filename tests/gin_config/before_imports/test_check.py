"""What the text of a command's settings shows, and what it cannot show."""

import os
import subprocess
import sys

import pytest

from primer.errors import UsageError
from primer.gin_config.before_imports import check
from tests.paths import ROOT

MODEL = ("--gin_file=models/defaults.gin", "--gin_file=models/small_primer.gin")
OWN = "--module_import=t5_imports"


def params(*bindings):
    return [f"--gin_param={binding}" for binding in bindings]


def run_file(name):
    return f"--gin_file=run/{name}.gin"


LEGAL = [
    [],
    params("precision.activation_dtype = 'bfloat16'", "utils.run.batch_size = 8"),
    params("utils.run.batch_size = ('tokens_per_batch', 2048)", "utils.run.train_steps = 1e3"),
    params("primer.precision.activation_dtype = %dtype", "dtype = 'float32'"),
    # Nothing refers to the first, and it is nearly no slot; others refer to the second.
    params("nothing_like_a_slot = 1", "num_layer = 3", "d_ff = %num_layer"),
    # A later binding is in force, and a call may return anything.
    params("precision.activation_dtype = 'fp8'", "precision.activation_dtype = 'auto'"),
    params("utils.run.batch_size = @rows()", "utils.run.train_steps = %unknown"),
    params("evaluation/precision.activation_dtype = 'fp8'"),
    # Nothing reads them in training.
    params("protocol.name = 'foo'", "score_texts.format = 'csv'"),
    # Nothing reads the batch in evaluation.
    [run_file("evaluate"), *params("utils.run.batch_size = 'abc'")],
    [run_file("evaluate"), *params("protocol.name = 'sliding'", "protocol.stride = 64")],
    [run_file("score"), *params("score_texts.files = ['a.txt']")],
    [run_file("generate"), *params("generate_text.top_k = 5")],
    # Others decide: flags in a file, the model API, the user's module.
    ["--flagfile=x", *params("precision.activation_dtype = 'fp8'")],
    ["--use_model_api", *params("utils.run.mode = 'foo'")],
    ["--module_import=my_module", *params("recompte = True")],
    ["--module_import=my_module", *params("precision.activation_dtype = 'fp8'")],
    ["--module_import=my_module", "--gin_file=my_module_adds_its_folder.gin"],
    ["--gin_file=gs://bucket/a.gin", *params("precision.activation_dtype = 'fp8'")],
    ["--tpu=my_tpu", *params("estimator.kind = 'foo'")],
    ["--gin_file", "datasets/sotu.gin", "--gin_param", "dropout_rate = 0.1"],
]

WRONG = [
    (["--gin_file=missing.gin"], "--gin_file missing.gin: there is no such file; looked in"),
    (["--gin_file", "missing.gin"], "--gin_file missing.gin: there is no such file"),
    (params("a = [1,"), r"--gin_param 'a = \[1,': gin cannot take these settings"),
    (params("positions = rotary"), "gin cannot take these settings"),
    (params("include 'no/file.gin'"), "include 'no/file.gin': there is no such file"),
    (params("precision.activation_dtype = 'fp8'"), "precision.activation_dtype = 'fp8': expected"),
    (params("precision.activation_dtype = %dtype", "dtype = 'fp8'"), "activation_dtype = 'fp8'"),
    (params("recompte = True"), "nothing refers to recompte; did you mean recompute"),
    (params("estimator.kind = 'foo'"), "estimator.kind = 'foo': expected"),
    (params("utils.run.mode = 'foo'"), "utils.run.mode = 'foo': expected"),
    (params("run.batch_size = 'abc'"), "utils.run.batch_size is 'abc': expected"),
    (params("utils.run.train_steps = 'ten'"), "utils.run.train_steps = 'ten': expected"),
    ([run_file("evaluate"), *params("protocol.name = 'foo'")], "protocol.name = 'foo'"),
    ([run_file("evaluate"), *params("protocol.name = 'sliding'")], "protocol.stride"),
    (
        [run_file("evaluate"), *params("evaluate_checkpoints.order_by = 'size'")],
        "evaluate_checkpoints.order_by = 'size'",
    ),
    ([run_file("score")], "there is neither"),
    (
        [run_file("score"), *params("score_texts.split = 'test'", "score_texts.format = 'csv'")],
        "score_texts.format = 'csv'",
    ),
    (
        [run_file("score"), *params("score_texts.split = 'test'", "score_texts.unit = 'page'")],
        "score_texts.unit = 'page'",
    ),
    ([run_file("score"), *params("protocol.name = 'as_released'")], "'as_released'"),
    ([run_file("generate"), *params("generate_text.num_samples = 0")], "num_samples = 0"),
    ([run_file("generate"), *params("generate_text.top_p = 2.0")], "top_p = 2.0"),
]


@pytest.mark.parametrize("words", LEGAL, ids=" ".join)
def test_what_a_run_may_accept_is_not_refused(words):
    check.check_command([OWN, *MODEL, *words])


@pytest.mark.parametrize("words, message", WRONG, ids=lambda value: "".join(value))
def test_misuse_is_refused(words, message):
    with pytest.raises(UsageError, match=message):
        check.check_command([OWN, *MODEL, *words])


def test_a_file_that_is_not_gin_is_named(tmp_path):
    path = tmp_path / "bad.gin"
    path.write_text("a = [1,\n")
    with pytest.raises(UsageError, match=f"{path}: gin cannot take these settings: "):
        check.check_command([OWN, f"--gin_file={path}"])


def test_a_file_that_imports_the_users_module_may_mean_anything(tmp_path):
    path = tmp_path / "own.gin"
    path.write_text("import my_module\nprecision.activation_dtype = 'fp8'\n")
    check.check_command([OWN, f"--gin_file={path}"])


def test_files_of_other_commands_are_checked_without_their_values():
    check.check_files(["models/defaults.gin"], ["precision.activation_dtype = 'fp8'"])
    with pytest.raises(UsageError, match="there is no such file"):
        check.check_files(["missing.gin"], [])
    misspelled = ["models/defaults.gin"], ["recompte = True"]
    check.check_files(*misspelled)
    with pytest.raises(UsageError, match="did you mean recompute"):
        check.check_files(*misspelled, slots=True)


T5 = (
    "import sys; import primer.runtime.import_hook as h; h.install()\n"
    "sys.argv = ['t5_mesh_transformer', '--module_import=t5_imports', '--model_dir={folder}',"
    " '--gin_file=models/defaults.gin', '--gin_param=utils.run.mode = \"foo\"']\n"
    "try: from t5.models import mesh_transformer_main\n"
    "finally: print('tensorflow' in sys.modules, 'numpy' in sys.modules)"
)
PRIMER = (
    "import sys\nfrom primer import cli\n"
    "try: cli.main(['train', '--model=small_primer', '--task=sotu', '--model_dir={folder}',"
    " '--gin_param=utils.run.mode = \"foo\"'])\n"
    "finally: print('tensorflow' in sys.modules, 'numpy' in sys.modules)"
)


@pytest.mark.parametrize("code", [T5, PRIMER], ids=["t5_mesh_transformer", "primer"])
def test_misuse_is_told_before_tensorflow_is_imported(code, tmp_path):
    folder = tmp_path / "model"
    done = subprocess.run(
        [sys.executable, "-c", code.format(folder=folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert done.stdout == "False False\n"
    assert done.stderr.endswith(
        "primer: utils.run.mode = 'foo': expected one of train, perplexity_eval, eval, score_eval, "
        "infer, score_from_strings, score_from_dataset, export_score, export_infer, export\n"
    )
    assert not folder.exists()
