"""Which estimator a run gets, and with which model, seed and settings."""

import gin
import pytest
from mesh_tensorflow.transformer import utils

from primer.common import build_mode, random_seed
from primer.errors import UsageError
from primer.runtime import estimator_factory, local_estimator
from primer.runtime.patches import resource_variables
from tests.runtime import tiny


@pytest.fixture
def settings(tmp_path):
    tiny.configure("run_seed.seed = 7")
    return tiny.estimator_settings(tmp_path)


def test_the_local_estimator_has_the_model_that_mesh_tensorflow_built(settings, monkeypatch):
    models = []
    stock = utils.build_model

    def build_model(**kwargs):
        models.append(stock(**kwargs))
        return models[-1]

    monkeypatch.setattr(utils, "build_model", build_model)
    estimator = utils.get_estimator(**settings)
    assert isinstance(estimator, local_estimator.LocalEstimator)
    assert [estimator.model] == models


def test_two_estimators_have_their_own_models(settings):
    first, second = (utils.get_estimator(**settings) for _ in range(2))
    assert first.model is not second.model


def test_the_estimator_has_the_settings_and_the_seed_of_the_run(settings):
    estimator = utils.get_estimator(**settings)
    assert estimator.settings == settings
    assert estimator.config.tf_random_seed == random_seed.run_seed() == 7


def test_a_mesh_without_enough_devices_is_an_error_before_the_model_is_built(settings):
    with pytest.raises(UsageError, match="1 processors.*2 devices"):
        utils.get_estimator(**{**settings, "mesh_devices": ["cpu:0", "cpu:0"]})


def bind(kind):
    with gin.unlock_config():
        gin.bind_parameter("estimator.kind", kind)


def test_another_kind_is_an_error():
    bind("remote")
    with pytest.raises(UsageError, match="estimator.kind = 'remote'.*local, tpu_estimator"):
        estimator_factory.estimator()


@pytest.mark.parametrize("kind, use_tpu", [("tpu_estimator", ""), ("local", "grpc://tpu")])
def test_a_tpu_or_the_setting_selects_tensorflows_estimator(kind, use_tpu):
    bind(kind)
    calls = []
    estimator_factory.make_estimator(
        lambda **kwargs: calls.append(kwargs), len, use_tpu, train_batch_size=4
    )
    (call,) = calls
    assert call["use_tpu"] is bool(use_tpu) and call["train_batch_size"] == 4


def test_the_model_function_runs_in_its_build_mode_and_without_our_variables_on_a_tpu(monkeypatch):
    bind("tpu_estimator")
    monkeypatch.setattr(resource_variables, "use_resources", lambda: pytest.fail("with a TPU"))
    arguments = {}

    def model_fn(features, labels, mode, params, config):
        return features, mode, build_mode.mode(), build_mode.for_tpu()

    estimator_factory.make_estimator(lambda **kwargs: arguments.update(kwargs), model_fn, "tpu")
    assert arguments["model_fn"]("batch", None, "train", {}) == ("batch", "train", "train", True)
