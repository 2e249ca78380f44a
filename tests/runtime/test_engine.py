"""The patch of `mesh_tensorflow.transformer.utils`, and what a run calls without a binding."""

from mesh_tensorflow.transformer import utils
from t5.models import mesh_transformer_main

from primer.gin_config import gin_state
from primer.runtime import engine, precision

# The names that gin files use, and that a run calls without a binding.
NAMES = {
    "primer.WandbTracker",
    "primer.compile",
    "primer.initial_values",
    "primer.initial_weights",
    "primer.estimator",
    "primer.memory_check",
    "primer.mesh_shape",
    "primer.precision",
    "primer.profile",
    "primer.rows_per_batch",
    "primer.run_seed",
    "primer.summaries",
    "primer.tracking",
    "primer.validation",
}


def test_the_entry_points_are_registered_with_gin():
    registered = {gin_state.configurable_named(name).wrapper for name in NAMES}
    assert set(engine.entry_points()) == registered


def test_stock_functions_are_patched():
    assert utils.get_variable_dtype is precision.variable_dtype
    patched = (
        utils.run,
        utils.get_estimator,
        utils.parse_gin_defaults_and_flags,
        mesh_transformer_main.main,
    )
    assert all(function.__wrapped__ for function in patched)
