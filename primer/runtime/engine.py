"""Patches `mesh_tensorflow.transformer.utils`: the estimator, data types, flags and the run.

t5's main calls `utils.run`, `utils.run` calls `utils.get_estimator`, and that makes a TPUEstimator
around a model function. The model function stays Mesh-TF's own.
"""

import types
from collections.abc import Callable

from primer.common import path_settings, random_seed
from primer.runtime import (
    batch_size,
    estimator_evaluation,
    estimator_factory,
    mesh,
    precision,
)
from primer.runtime.command_line import flags, guarded_run
from primer.runtime.compilation import setting
from primer.runtime.memory import policy
from primer.runtime.patches import initial_values
from primer.runtime.tracking import tracker, wandb_tracker
from primer.runtime.training import summaries, validation
from primer.runtime.training.profiling import profiled_steps
from primer.runtime.training.starting import settings as start_settings

path_settings.declare("utils.run.init_checkpoint")


def entry_points() -> tuple[Callable, ...]:
    """Returns the configurables that a run calls itself, without a binding that names them.

    Importing this module registers them, before gin reads any file.
    """
    return (
        batch_size.rows_per_batch,
        estimator_factory.estimator,
        initial_values.initial_values,
        start_settings.initial_weights,
        mesh.mesh_shape,
        policy.memory_check,
        precision.precision,
        profiled_steps.profile_settings,
        random_seed.run_seed,
        setting.xla_setting,
        summaries.events_every,
        tracker.chosen_tracker,
        wandb_tracker.WandbTracker,
        validation.validation,
    )


def patch(utils: types.ModuleType) -> None:
    """Patches `mesh_tensorflow.transformer.utils` after its import."""
    evaluation_scope = estimator_evaluation.EvaluationScope()
    estimator_factory.patch(utils, evaluation_scope)
    guarded_run.patch(utils, evaluation_scope)
    flags.patch(utils)
    utils.get_variable_dtype = precision.variable_dtype
