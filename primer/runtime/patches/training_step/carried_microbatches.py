"""Mesh-TF 0.1.21: a microbatch cannot hand a state to the next step.

Where rows carry a state (`carried_state`), the state of a microbatch's rows enters the loop over
microbatches with their features, and leaves it with the outputs.
"""

import types
from collections.abc import Callable

import mesh_tensorflow as mtf

from primer.common.recurrence import carried_state
from primer.runtime.patches.training_step.training_loss import overlay

_PREFIX = f"{carried_state.SCOPE}/"


def patch(utils: types.ModuleType) -> None:
    """Patches the name `mtf` of `mesh_tensorflow.transformer.utils`."""
    module = utils.mtf

    def serialize_training_step(
        features: dict[str, mtf.Tensor], model_fn: Callable, batch_dim: mtf.Dimension, splits: int
    ) -> tuple[list, dict]:
        state = carried_state.current()
        if state is None:
            return module.serialize_training_step(features, model_fn, batch_dim, splits)
        targets = features["targets"]
        variables = state.variables(targets.mesh, targets.shape.dims[:-1])
        names = {_PREFIX + name: value for name, value in variables.items()}

        def with_state(part: dict[str, mtf.Tensor]) -> dict[str, mtf.Tensor]:
            before = {name: part.pop(_PREFIX + name) for name in variables}
            with state.values_in_loop(before) as after:
                outputs = model_fn(part)
            return {**outputs, **{_PREFIX + name: value for name, value in after.items()}}

        gradients, outputs = module.serialize_training_step(
            {**features, **names}, with_state, batch_dim, splits
        )
        recorded = [name for name in variables if _PREFIX + name in outputs]
        state.end_loop(variables, {name: outputs.pop(_PREFIX + name) for name in recorded})
        return gradients, outputs

    utils.mtf = overlay(module, serialize_training_step=serialize_training_step)
