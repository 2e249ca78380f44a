"""Stock perplexity_eval: Mesh-TF's numbers under its tags, from one graph and one session."""

import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import dataset as transformer_dataset
from mesh_tensorflow.transformer import utils
from t5.models import mesh_transformer

from primer.errors import UsageError
from primer.runtime import estimator_evaluation, inputs, session
from tests import slow
from tests.runtime import tiny

STEPS = 5
EVALUATE = (
    "utils.run.dataset_split = 'validation'",
    "utils.run.mode = 'perplexity_eval'",
    "utils.run.eval_checkpoint_step = 'all'",
    f"utils.run.perplexity_eval_steps = {STEPS}",
)
TAGS = ("neg_log_perplexity", "loss", "token_accuracy", "num_eval_tokens", "mean_label")

# Room for a quarter of the tokens: which ones are dropped depends on the rows of the batch.
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
    """The batches of Mesh-TF's loop, as `utils.run` makes them of the task."""
    dataset = mesh_transformer.mesh_eval_dataset_fn(
        mixture_or_task_name=tiny.TASK,
        sequence_length={"inputs": 1, "targets": 32},
        dataset_split="validation",
    )[0].dataset_fn()
    dataset = dataset.map(utils._filter_features)
    dataset = transformer_dataset.pad_dataset_with_zeroed_out_examples(dataset)
    return dataset.batch(4, drop_remainder=True)


def stock_metrics(model_dir, step, model):
    """Mesh-TF's model function in a graph and a session of its own, as an Estimator runs it."""
    tiny.configure(*EVALUATE, model=model)
    estimator = utils.get_estimator(**tiny.estimator_settings(model_dir))
    with tf.Graph().as_default():
        iterator = tf.data.make_initializable_iterator(stock_input())
        tf.train.get_or_create_global_step()
        spec = estimator._model_fn(iterator.get_next(), None, "eval", {}, estimator.config)
        metrics = dict(spec.eval_metrics[0](*spec.eval_metrics[1]), loss=tf.metrics.mean(spec.loss))
        (hook,) = spec.evaluation_hooks
        hook.begin()
        saver = tf.train.Saver(tf.global_variables())
        with tf.Session() as sess:
            saver.restore(sess, f"{model_dir}/model.ckpt-{step}")
            sess.run([tf.local_variables_initializer(), iterator.initializer])
            hook.after_create_session(sess, None)
            for _ in range(STEPS):
                sess.run([update for _, update in metrics.values()])
            return sess.run({key: value for key, (value, _) in metrics.items()})


class Counter:
    """Counts the calls of a function or class that a module has."""

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


def test_experts_drop_tokens_as_stock_does(trained):
    """The same weights with room for all tokens are another number: so dropping did happen."""
    model_dir, model = trained
    if model is not EXPERTS:
        pytest.skip("of experts only")
    roomy = stock_metrics(model_dir, 6, model.replace("= 0.25", "= 8.0"))
    tight = stock_metrics(model_dir, 6, model)
    assert abs(roomy["neg_log_perplexity"] - tight["neg_log_perplexity"]) > 1e-5


def batches_of(*values):
    """An input function of batches of one row."""
    rows = {"targets": np.array(values, np.int32)}
    return lambda params: tf.data.Dataset.from_tensor_slices(rows).batch(1)


def test_batches_are_read_once_and_stay_in_order(monkeypatch):
    readings = Counter(monkeypatch, inputs, "features")
    tiny.configure()
    batches = estimator_evaluation._Batches(batches_of([1, 2], [3, 4], [5, 6]), 2)
    first, second = ([b["targets"].tolist() for b in batches] for _ in range(2))
    assert first == second == [[[1, 2]], [[3, 4]]]
    assert readings.calls == 1


def test_a_split_too_large_to_keep_is_read_anew(monkeypatch):
    readings = Counter(monkeypatch, inputs, "features")
    monkeypatch.setattr(estimator_evaluation, "MAX_CACHED_BYTES", 8)
    tiny.configure()
    batches = estimator_evaluation._Batches(batches_of([1, 2], [3, 4]), None)
    assert [b["targets"].tolist() for b in batches] == [[[1, 2]], [[3, 4]]]
    assert [b["targets"].tolist() for b in batches] == [[[1, 2]], [[3, 4]]]
    assert readings.calls == 2


def test_partial_functions_of_the_same_are_the_same():
    def read(params, dataset):
        pass

    one, other = object(), object()
    same = [estimator_evaluation._identity(functools.partial(read, dataset=one)) for _ in range(2)]
    assert same[0] == same[1]
    assert same[0] != estimator_evaluation._identity(functools.partial(read, dataset=other))


def test_nothing_to_read_is_one_line(tmp_path):
    tiny.run(tmp_path, "utils.run.train_steps = 1")
    estimator = utils.get_estimator(**tiny.estimator_settings(tmp_path))

    def nothing(params):
        return tf.data.Dataset.from_tensors({"targets": np.zeros([4, 32], np.int32)}).take(0)

    with pytest.raises(UsageError, match="nothing to evaluate"):
        estimator.evaluate(nothing)


def test_two_writers_of_the_same_second_keep_their_events(tmp_path):
    for step in (1, 2):
        writer = session.event_writer(str(tmp_path))
        writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag="x", simple_value=step)]), step)
        writer.close()
    assert tiny.scalars(tmp_path)["x"] == {1: 1.0, 2: 2.0}
