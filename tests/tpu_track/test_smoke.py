"""The TensorFlow 2.15.1 track: parity, training and evaluation through both estimators.

`make test` runs these in `.venv-tpu` on Python 3.10 and 3.11. TensorFlow 2.15.1 is the last release
with the real TPUEstimator, here in its CPU form.
"""

import numpy as np
import pytest

from tests.layers.test_parity import test_golden_numbers  # noqa: F401  (collected here as well)
from tests.runtime import tiny
from tests.tpu_track.marks import TPU_TRACK

pytestmark = TPU_TRACK

NO_DROPOUT = "dropout_rate = 0.0"
REAL = "estimator.kind = 'tpu_estimator'"
EVALUATE = (
    NO_DROPOUT,
    "utils.run.dataset_split = 'validation'",
    "utils.run.mode = 'perplexity_eval'",
    "utils.run.eval_checkpoint_step = 'all'",
    "utils.run.perplexity_eval_steps = 5",
)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("local")
    tiny.run(model_dir, NO_DROPOUT)
    return model_dir


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("real")
    tiny.run(model_dir, NO_DROPOUT, REAL)
    return model_dir


def evaluation(model_dir, *bindings):
    tiny.run(model_dir, *EVALUATE, *bindings)
    return tiny.scalars(model_dir / f"eval_{tiny.TASK}_validation_20")


def test_both_estimators_train_the_same_weights(local, real):
    expected = tiny.variables(real, 6)
    for name, value in tiny.variables(local, 6).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_both_estimators_evaluate_to_the_same_numbers(local, real):
    ours = evaluation(local)
    theirs = evaluation(real, REAL)
    for tag in ("neg_log_perplexity", "num_eval_tokens", "mean_label", "token_accuracy"):
        assert sorted(ours[tag]) == sorted(theirs[tag]) == [3, 6]
        for step, value in theirs[tag].items():
            assert ours[tag][step] == pytest.approx(value, rel=1e-4)


def test_one_evaluation_graph_for_all_checkpoints_gives_the_real_estimators_numbers(real):
    """The real estimator builds one graph, and reads the data, for each checkpoint."""
    theirs = evaluation(real, REAL)
    for path in real.glob(f"eval_{tiny.TASK}_validation_20/events*"):
        path.unlink()
    ours = evaluation(real)
    del theirs["checkpoint_path"]  # A text, which only the real estimator writes.
    for tag, values in theirs.items():
        assert sorted(ours[tag]) == sorted(values) == [3, 6]
        for step, value in values.items():
            assert ours[tag][step] == pytest.approx(value, rel=1e-5, abs=1e-7), (tag, step)


def test_each_estimator_reads_the_checkpoints_of_the_other(local, real):
    ours = evaluation(real)["neg_log_perplexity"][6]
    theirs = evaluation(local, REAL)["neg_log_perplexity"][6]
    assert ours == pytest.approx(theirs, rel=1e-4)
