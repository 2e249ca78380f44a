"""The names of `tf.estimator` and `tensorflow.python.tpu` that t5 and Mesh-TensorFlow use.

TensorFlow 2.16 dropped the Estimator. These are plain records with the real classes' argument
names; what does the work is `primer.runtime.local_estimator`, on every TensorFlow.
"""

import collections
import dataclasses
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
    """How the input is spread over a TPU's hosts; the numbers are the real ones."""

    PER_SHARD_V1 = 1
    PER_HOST_V1 = 2
    PER_HOST_V2 = 3
    BROADCAST = 4
    SLICED = 5


@dataclasses.dataclass
class TPUConfig:
    """Settings of a TPU, kept and not used without one."""

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
    """Refuses: without TensorFlow's own Estimator there is no TPU."""

    def __init__(self, *args, **kwargs):
        del args, kwargs
        raise ImportError(
            f"the TPUEstimator is not part of TensorFlow {tf.__version__}: "
            "install Primer with the extra [tpu] (TensorFlow 2.15.1, Python 3.10 or 3.11)"
        )


def estimator_module() -> types.ModuleType:
    """The module that takes the place of `tensorflow.compat.v1.estimator` and `tf.estimator`."""
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


def tpu_estimator_module() -> types.ModuleType:
    """The module that takes the place of `tensorflow.python.tpu.tpu_estimator`."""
    module = types.ModuleType("tensorflow.python.tpu.tpu_estimator", __doc__)
    module.TPUEstimator = TPUEstimator
    module.TPUEstimatorSpec = TPUEstimatorSpec
    return module


def tpu_config_module() -> types.ModuleType:
    """The module that takes the place of `tensorflow.python.tpu.tpu_config`."""
    module = types.ModuleType("tensorflow.python.tpu.tpu_config", __doc__)
    module.TPUConfig = TPUConfig
    module.RunConfig = RunConfig
    module.InputPipelineConfig = InputPipelineConfig
    return module
