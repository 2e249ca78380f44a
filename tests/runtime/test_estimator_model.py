"""The model, the sequence length and the task of an estimator."""

import types

import pytest
from mesh_tensorflow.transformer import utils
from t5.models import mesh_transformer  # noqa: F401  (registers mesh_train_dataset_fn with gin)

from primer.checkpoints.description import model_description
from primer.errors import UsageError
from primer.runtime import estimator_model
from tests.runtime import tiny


def test_the_model_of_another_estimator_is_built_from_gin(tmp_path):
    tiny.configure()
    local = utils.get_estimator(**tiny.estimator_settings(tmp_path))
    other = types.SimpleNamespace(settings=local.settings)
    assert estimator_model.model_of(local) is local.model
    built = estimator_model.model_of(other)
    assert built is not local.model
    described = model_description.describe_model(built)
    assert described == model_description.describe_model(local.model)


def test_the_length_is_that_of_the_targets():
    lengths = {"inputs": 1, "targets": 32}
    estimator = types.SimpleNamespace(settings={"sequence_length": lengths})
    assert estimator_model.length_of(estimator) == 32


def test_the_task_is_a_binding_of_gin():
    tiny.configure()
    assert estimator_model.task_name() == tiny.TASK


def test_a_run_without_a_task_is_an_error():
    with pytest.raises(UsageError, match="no task: set MIXTURE_NAME"):
        estimator_model.task_name()
