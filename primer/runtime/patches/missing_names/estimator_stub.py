"""TensorFlow 2.16 dropped the Estimator and its TPU form; t5, Mesh-TF and gin.tf import them.

The patch provides the names of `tf.estimator` and `tensorflow.python.tpu` that the three use: plain
records with the argument names of the real classes. `primer.runtime.local_estimator` trains and
evaluates, on every TensorFlow.
"""

import collections
import dataclasses
import importlib.util
import sys
import types
from typing import Any

import tensorflow.compat.v1 as tf


class ModeKeys:
    """The three modes of a model function."""

    TRAIN = "train"
    EVAL = "eval"
    PREDICT = "infer"


@dataclasses.dataclass
class EstimatorSpec:
    """What a model function returns for training without a TPU."""

    mode: str
    predictions: Any = None
    loss: Any = None
    train_op: Any = None
    eval_metric_ops: Any = None
    export_outputs: Any = None
    training_chief_hooks: Any = ()
    training_hooks: Any = ()
    scaffold: Any = None
    evaluation_hooks: Any = ()
    prediction_hooks: Any = ()


@dataclasses.dataclass
class TPUEstimatorSpec:
    """What a model function returns for evaluation and prediction, on a TPU or not."""

    mode: str
    predictions: Any = None
    loss: Any = None
    train_op: Any = None
    eval_metrics: Any = None
    export_outputs: Any = None
    scaffold_fn: Any = None
    host_call: Any = None
    training_hooks: Any = ()
    evaluation_hooks: Any = ()
    prediction_hooks: Any = ()


class InputPipelineConfig:
    """How a TPU's hosts share the input; the numbers are TensorFlow's."""

    PER_SHARD_V1 = 1
    PER_HOST_V1 = 2
    PER_HOST_V2 = 3
    BROADCAST = 4
    SLICED = 5


@dataclasses.dataclass
class TPUConfig:
    """Settings of a TPU, which are stored and not used."""

    iterations_per_loop: int = 2
    num_shards: Any = None
    num_cores_per_replica: Any = None
    per_host_input_for_training: Any = True
    tpu_job_name: Any = None


@dataclasses.dataclass
class RunConfig:
    """Settings of a run."""

    tpu_config: Any = None
    cluster: Any = None
    model_dir: Any = None
    session_config: Any = None
    save_checkpoints_steps: Any = None
    save_checkpoints_secs: Any = None
    master: Any = None
    evaluation_master: Any = None
    tf_random_seed: Any = None


ServingInputReceiver = collections.namedtuple(
    "ServingInputReceiver", ["features", "receiver_tensors"]
)


class TPUEstimator:
    """Raises ImportError when it is made: TPUs need TensorFlow's own Estimator."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        del args, kwargs
        raise ImportError(
            f"the TPUEstimator is not part of TensorFlow {tf.__version__}: "
            "install Primer with the extra [tpu] (TensorFlow 2.15.1, Python 3.10 or 3.11)"
        )


def patch(tensorflow: types.ModuleType) -> None:
    """Patches `tensorflow` where it has no Estimator."""
    name = "tensorflow.python.tpu.tpu_estimator"
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        return
    from tensorflow.python import tpu

    estimator = _estimator_module()
    tensorflow.estimator = estimator
    tensorflow.compat.v1.estimator = estimator
    sys.modules["tensorflow.compat.v1.estimator"] = estimator
    for module in (_tpu_estimator_module(), _tpu_config_module()):
        sys.modules[module.__name__] = module
        setattr(tpu, module.__name__.rpartition(".")[2], module)


def _estimator_module():
    """Makes the module for `tensorflow.compat.v1.estimator` and `tf.estimator`."""
    module = types.ModuleType("tensorflow.compat.v1.estimator", __doc__)
    module.ModeKeys = ModeKeys
    module.EstimatorSpec = EstimatorSpec
    module.SessionRunHook = tf.train.SessionRunHook
    module.CheckpointSaverListener = tf.train.CheckpointSaverListener
    module.export = types.SimpleNamespace(ServingInputReceiver=ServingInputReceiver)
    module.tpu = types.SimpleNamespace(
        TPUEstimator=TPUEstimator,
        TPUEstimatorSpec=TPUEstimatorSpec,
        TPUConfig=TPUConfig,
        RunConfig=RunConfig,
        InputPipelineConfig=InputPipelineConfig,
    )
    return module


def _tpu_estimator_module():
    """Makes the module for `tensorflow.python.tpu.tpu_estimator`."""
    module = types.ModuleType("tensorflow.python.tpu.tpu_estimator", __doc__)
    module.TPUEstimator = TPUEstimator
    module.TPUEstimatorSpec = TPUEstimatorSpec
    return module


def _tpu_config_module():
    """Makes the module for `tensorflow.python.tpu.tpu_config`."""
    module = types.ModuleType("tensorflow.python.tpu.tpu_config", __doc__)
    module.TPUConfig = TPUConfig
    module.RunConfig = RunConfig
    module.InputPipelineConfig = InputPipelineConfig
    return module
