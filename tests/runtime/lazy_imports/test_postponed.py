"""What t5's command does not execute at its start, and executes when it is used."""

import os
import subprocess
import sys

from primer.runtime.lazy_imports import postponed
from tests.paths import ROOT

# Heavy modules that a run of training does not use.
HEAVY = (
    *("keras", "matplotlib", "pandas", "sklearn.base", "scipy.stats._stats_py", "nltk.tokenize"),
    *("tensorflow.lite.python.util", "pyglove.core", "requests.api", "sacrebleu.metrics"),
    *("rouge_score.tokenize", "h5py._hl", "transformers", "IPython", "torch"),
)

CODE = f"""
import sys
sys.argv[0] = "t5_mesh_transformer"
import primer.runtime.import_hook as hook
hook.install()
from t5.models import mesh_transformer_main
import t5_imports
import tensorflow as tf, tensorflow.compat.v1 as tf1
assert not [name for name in {HEAVY!r} if name in sys.modules]

tf1.disable_v2_behavior()
from t5.data import glue_utils
from t5.evaluation import metrics
assert glue_utils.GLUE_METRICS["cola"][0]([1, 0, 1], [1, 0, 1]) == {{"matthews_corrcoef": 100}}
assert metrics.rouge(["a b"], ["a b"])["rouge1"] == 100
assert round(metrics.pearson_corrcoef([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])["pearson_corrcoef"]) == 98
assert tf.lite.Interpreter and tf1.lite.TFLiteConverter and tf1.feature_column.numeric_column
assert tf.lite.__name__ == "tensorflow._api.v2.lite"
assert tf.keras.layers.Dense and "keras" in sys.modules
import nltk.tokenize, pyglove, requests
assert nltk.tokenize.word_tokenize and pyglove.oneof and requests.get
print("done")
"""


def test_a_run_imports_no_heavy_module_and_finds_each_when_it_is_used():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", CODE]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "done\n", done.stderr[-2000:]


def test_a_kept_lite_is_not_replaced_by_its_package():
    import tensorflow as tf

    postponed.keep_lite(tf)
    assert tf.lite.__name__ == "tensorflow._api.v2.lite"


def test_keras_is_left_out_only_before_tensorflow_is_imported():
    import tensorflow  # noqa: F401

    before = sys.modules.get("keras.src.optimizers")
    with postponed.keras_left_out():
        assert sys.modules.get("keras.src.optimizers") is before
