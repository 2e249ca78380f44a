"""Makes the estimator of a run: Primer's own without a TPU, TensorFlow's TPUEstimator with one."""

import functools
import types
from collections.abc import Callable
from typing import Any

import gin
import tensorflow.compat.v1 as tf

from primer.checkpoints import pattern_free
from primer.common import build_mode, graph_marks, random_seed
from primer.common.settings import run_settings
from primer.optimizers.training_optimizer import TrainingOptimizer
from primer.parametrization import trained_weights
from primer.runtime import estimator_evaluation, mesh, precision
from primer.runtime.patches import learning_rates, resource_variables
from primer.runtime.training import carried_rows, step_order
from primer.runtime.training.starting import settings as start_settings


@gin.configurable(module="primer")
def estimator(kind: str = "local") -> str:
    """Returns which estimator runs the model where no TPU is used.

    Args:
        kind: "local", Primer's own, or "tpu_estimator", TensorFlow's TPUEstimator in its CPU and
            GPU form (TensorFlow 2.15.1). `--tpu` implies the latter.

    Returns:
        The kind.

    Raises:
        UsageError: another value.
    """
    run_settings.check_estimator(kind)
    return kind


def patch(utils: types.ModuleType, scope: estimator_evaluation.EvaluationScope) -> None:
    """Patches what `utils.get_estimator` calls, and the function itself.

    Args:
        utils: `mesh_tensorflow.transformer.utils`.
        scope: the block of a run in which estimators cache their evaluations.
    """
    real = utils.tpu_estimator
    utils.tpu_estimator = types.SimpleNamespace(
        TPUEstimator=functools.partial(make_estimator, real.TPUEstimator),
        TPUEstimatorSpec=real.TPUEstimatorSpec,
    )
    utils.tpu_config = types.SimpleNamespace(
        TPUConfig=utils.tpu_config.TPUConfig,
        InputPipelineConfig=utils.tpu_config.InputPipelineConfig,
        RunConfig=_seeded_run_config(utils.tpu_config.RunConfig),
    )
    utils.tpu_estimator_model_fn = _with_model_attribute(utils.tpu_estimator_model_fn)
    utils.get_estimator = _checked_get_estimator(utils.get_estimator, scope)


def make_estimator(
    tpu_estimator_class: Callable[..., Any], model_fn: Any, use_tpu: Any, **kwargs: Any
) -> Any:
    """Makes the real TPUEstimator or the local one around Mesh-TF's model function.

    Args:
        tpu_estimator_class: TensorFlow's TPUEstimator, or the stub that replaces it.
        model_fn: the model function; its attribute `model` is the Mesh-TF model that it builds.
        use_tpu: true for a TPU; Mesh-TF passes the TPU's name.
        **kwargs: further arguments of the estimator.
    """

    def model_fn_of_mode(features, labels, mode, params, config=None):
        if not use_tpu:
            resource_variables.use_resources()
        with build_mode.building(mode, use_tpu):
            if mode == "train":
                dtype = precision.variable_dtype().activation_dtype
                carried_rows.declare(getattr(model_fn, "model", None), dtype, bool(use_tpu))
            spec = model_fn(features, labels, mode, params, config)
        if mode == "train" and not graph_marks.leaves_out_blocks():
            trained_weights.check(variable.op.name for variable in tf.trainable_variables())
        if mode == "train" and not use_tpu:
            step_order.increment_step_last(spec.train_op)
        return spec

    if _is_tensorflows(use_tpu):
        return tpu_estimator_class(model_fn=model_fn_of_mode, use_tpu=bool(use_tpu), **kwargs)
    from primer.runtime import local_estimator

    return local_estimator.LocalEstimator(model_fn_of_mode, model=model_fn.model, **kwargs)


def _is_tensorflows(use_tpu):
    """Returns whether a run uses TensorFlow's TPUEstimator."""
    return bool(use_tpu) or estimator() == "tpu_estimator"


def _with_model_attribute(stock: Callable) -> Callable:
    """Adds the Mesh-TF model to the model function as its attribute `model`.

    `utils.get_estimator` passes only the model function to the estimator.
    """

    @functools.wraps(stock)
    def tpu_estimator_model_fn(model_type, transformer_model, *args, **kwargs):
        model_fn = stock(model_type, transformer_model, *args, **kwargs)
        model_fn.model = transformer_model
        return model_fn

    return tpu_estimator_model_fn


def _seeded_run_config(stock: Callable) -> Callable:
    """Adds the run's seed: shuffles and initial values derive part of theirs from the graph's."""

    @functools.wraps(stock)
    def run_config(**kwargs):
        return stock(tf_random_seed=random_seed.run_seed(), **kwargs)

    return run_config


def _checked_get_estimator(
    stock: Callable, scope: estimator_evaluation.EvaluationScope
) -> Callable:
    """Checks the mesh before the call, and stores the call's arguments as `estimator.settings`.

    The learning rate is never negative, `training_optimizer` wraps the optimizer, and the local
    estimator loads the initial weights itself. The inputs of an aligned model are as long as its
    targets.
    """

    @functools.wraps(stock)
    def get_estimator(**settings):
        if settings.get("use_tpu") or estimator() == "tpu_estimator":
            pattern_free.require_plain_name(settings["model_dir"])
        if not settings.get("use_tpu"):
            mesh.check_devices(settings["mesh_shape"], settings.get("mesh_devices"))
        changed = {
            "learning_rate_schedule": learning_rates.not_negative(
                settings.get("learning_rate_schedule")
            )
        }
        if settings.get("optimizer"):
            changed["optimizer"] = functools.partial(TrainingOptimizer, settings["optimizer"])
        if not _is_tensorflows(settings.get("use_tpu")):
            changed["init_checkpoint"] = None
        elif settings.get("init_checkpoint"):
            start_settings.require_none()
            changed["init_checkpoint"] = pattern_free.readable(settings["init_checkpoint"])
        if settings.get("model_type") == "aligned":
            # Files of datasets/ and run/ set the lengths of a language model, which has no inputs.
            length = settings["sequence_length"]["targets"]
            changed["sequence_length"] = {"inputs": length, "targets": length}
        result = stock(**{**settings, **changed})
        result.settings = settings
        scope.add(result)
        return result

    return get_estimator
