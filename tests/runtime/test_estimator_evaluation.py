"""Stock perplexity_eval: Mesh-TF's numbers under its tags, with one graph and one session."""

import contextlib
import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import dataset as transformer_dataset
from mesh_tensorflow.transformer import utils
from t5.models import mesh_transformer

from primer.errors import UsageError
from primer.runtime import estimator_evaluation, inputs
from tests import slow
from tests.layers import routing_margin
from tests.runtime import tiny

STEPS = 5
EVALUATE = (
    "utils.run.dataset_split = 'validation'",
    "utils.run.mode = 'perplexity_eval'",
    "utils.run.eval_checkpoint_step = 'all'",
    f"utils.run.perplexity_eval_steps = {STEPS}",
)
TAGS = ("neg_log_perplexity", "loss", "token_accuracy", "num_eval_tokens", "mean_label")

# Capacity for a quarter of the tokens: the rows of the batch decide which ones are dropped.
EXPERTS = """
include "defaults.gin"
include "architectures/primer_ez.gin"
include "activations/squared_relu.gin"
include "sizes/tiny.gin"
include "architectures/switch.gin"
num_switch_blocks = 1
block = [%attention, %experts]
capacity_factor_eval = 0.25
"""


@pytest.fixture(scope="module", params=slow.all_but(["experts"], ["dense", "experts"]))
def trained(request, tmp_path_factory):
    """(directory with checkpoints 3 and 6, the gin of its model)"""
    model = {"dense": tiny.MODEL, "experts": EXPERTS}[request.param]
    model_dir = tmp_path_factory.mktemp(request.param)
    tiny.run(model_dir, model=model)
    return model_dir, model


def stock_input():
    """The data set of batches that `utils.run` makes of the task."""
    dataset = mesh_transformer.mesh_eval_dataset_fn(
        mixture_or_task_name=tiny.TASK,
        sequence_length={"inputs": 1, "targets": 32},
        dataset_split="validation",
    )[0].dataset_fn()
    dataset = dataset.map(utils._filter_features)
    dataset = transformer_dataset.pad_dataset_with_zeroed_out_examples(dataset)
    return dataset.batch(4, drop_remainder=True)


def stock_metrics(model_dir, step, model):
    """The metrics of Mesh-TF's model function in a new graph and session, as in an Estimator."""
    tiny.configure(*EVALUATE, model=model)
    estimator = utils.get_estimator(**tiny.estimator_settings(model_dir))
    with tf.Graph().as_default():
        iterator = tf.data.make_initializable_iterator(stock_input())
        tf.train.get_or_create_global_step()
        with routing_margin.exported() as margins:
            spec = estimator._model_fn(iterator.get_next(), None, "eval", {}, estimator.config)
        assert bool(margins) == ("switch" in model)
        metrics = dict(spec.eval_metrics[0](*spec.eval_metrics[1]), loss=tf.metrics.mean(spec.loss))
        (hook,) = spec.evaluation_hooks
        hook.begin()
        saver = tf.train.Saver(tf.global_variables())
        with tf.Session() as sess:
            saver.restore(sess, f"{model_dir}/model.ckpt-{step}")
            sess.run([tf.local_variables_initializer(), iterator.initializer])
            hook.after_create_session(sess, None)
            for _ in range(STEPS):
                values = sess.run([[update for _, update in metrics.values()], margins])
                routing_margin.check(values[1])
            return sess.run({key: value for key, (value, _) in metrics.items()})


class Counter:
    """Replaces a function or class of a module by one that counts its calls."""

    def __init__(self, monkeypatch, module, name):
        self.calls = 0
        self._real = getattr(module, name)
        monkeypatch.setattr(module, name, self)

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return self._real(*args, **kwargs)


def test_stock_numbers_under_stock_tags_from_one_graph(trained, monkeypatch, capfd):
    model_dir, model = trained
    graphs = Counter(monkeypatch, estimator_evaluation, "_Graph")
    readings = Counter(monkeypatch, inputs, "features")
    tiny.run(model_dir, *EVALUATE, model=model)
    assert (graphs.calls, readings.calls) == (1, 1)
    said = capfd.readouterr().err
    scalars = tiny.scalars(model_dir / f"eval_{tiny.TASK}_validation_{4 * STEPS}")
    for step in (3, 6):
        expected = stock_metrics(model_dir, step, model)
        for tag in TAGS:
            assert scalars[tag][step] == pytest.approx(expected[tag], rel=1e-5, abs=1e-7), tag
    assert scalars["neg_log_perplexity"][3] != scalars["neg_log_perplexity"][6]
    assert f"primer eval --model_dir={model_dir} --split=validation" in said
    assert f"step 6  {tiny.TASK}_validation_20  {-scalars['neg_log_perplexity'][6]:.4f}" in said


def test_the_capacity_of_experts_changes_the_metrics(trained):
    """The comparison with stock therefore includes dropped tokens."""
    model_dir, model = trained
    if model is not EXPERTS:
        pytest.skip("the model has no experts")
    roomy = stock_metrics(model_dir, 6, model.replace("= 0.25", "= 8.0"))
    tight = stock_metrics(model_dir, 6, model)
    assert abs(roomy["neg_log_perplexity"] - tight["neg_log_perplexity"]) > 1e-5


def batches_of(*values):
    """An input function of batches with one row each."""
    rows = {"targets": np.array(values, np.int32)}
    return lambda params: tf.data.Dataset.from_tensor_slices(rows).batch(1)


def test_batches_are_read_once_and_stay_in_order(monkeypatch):
    readings = Counter(monkeypatch, inputs, "features")
    tiny.configure()
    batches = estimator_evaluation._Batches(batches_of([1, 2], [3, 4], [5, 6]), 2)
    first, second = ([b["targets"].tolist() for b in batches] for _ in range(2))
    assert first == second == [[[1, 2]], [[3, 4]]]
    assert readings.calls == 1


def test_a_split_too_large_to_cache_is_read_again(monkeypatch):
    readings = Counter(monkeypatch, inputs, "features")
    monkeypatch.setattr(estimator_evaluation, "MAX_CACHED_BYTES", 8)
    tiny.configure()
    batches = estimator_evaluation._Batches(batches_of([1, 2], [3, 4]), None)
    assert [b["targets"].tolist() for b in batches] == [[[1, 2]], [[3, 4]]]
    assert [b["targets"].tolist() for b in batches] == [[[1, 2]], [[3, 4]]]
    assert readings.calls == 2


def test_partial_functions_of_equal_arguments_are_identical():
    def read(params, dataset):
        pass

    one, other = object(), object()
    same = [estimator_evaluation._identity(functools.partial(read, dataset=one)) for _ in range(2)]
    assert same[0] == same[1]
    assert same[0] != estimator_evaluation._identity(functools.partial(read, dataset=other))


def test_a_split_without_a_batch_is_an_error(trained):
    model_dir, model = trained
    tiny.configure(model=model)
    estimator = utils.get_estimator(**tiny.estimator_settings(model_dir))

    def nothing(params):
        return tf.data.Dataset.from_tensors({"targets": np.zeros([4, 32], np.int32)}).take(0)

    with pytest.raises(UsageError, match="nothing to evaluate"):
        estimator.evaluate(nothing)


class FakeEstimator:
    """Records the blocks of `cached_evaluations`."""

    def __init__(self, events):
        self._events = events

    @contextlib.contextmanager
    def cached_evaluations(self):
        self._events.append("opened")
        yield
        self._events.append("closed")


def test_estimators_cache_evaluations_until_the_run_ends():
    events = []
    scope = estimator_evaluation.EvaluationScope()
    with scope.open():
        scope.add(FakeEstimator(events))
        assert events == ["opened"]
    assert events == ["opened", "closed"]


def test_estimators_outside_of_a_run_cache_nothing():
    events = []
    scope = estimator_evaluation.EvaluationScope()
    with scope.open():
        scope.add(object())  # TensorFlow's TPUEstimator has no cache.
    scope.add(FakeEstimator(events))
    assert events == []


def test_the_cache_of_an_estimator_ends_with_its_block(trained, monkeypatch):
    model_dir, model = trained
    graphs = Counter(monkeypatch, estimator_evaluation, "_Graph")
    tiny.configure(*EVALUATE, model=model)
    estimator = utils.get_estimator(**tiny.estimator_settings(model_dir))

    def read(params):
        return stock_input()

    with estimator.cached_evaluations():
        first, second = (estimator.evaluate(read, steps=1) for _ in range(2))
    assert graphs.calls == 1
    third = estimator.evaluate(read, steps=1)
    assert graphs.calls == 2
    assert first == second == third
