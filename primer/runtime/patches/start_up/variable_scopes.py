"""TensorFlow 2.15 to 2.21: leaving a variable scope takes as long as there are scopes in a graph.

Mesh-TensorFlow enters one for each operation of each device. `close_variable_subscopes` sets the
counts of the scopes inside the one that is left to 0, and keeps their names for ever, which each
later call compares. The patch removes them: a name that is missing counts as 0.
"""

from types import ModuleType


def patch(variable_scope: ModuleType) -> None:
    """Patches `tensorflow.python.ops.variable_scope._VariableScopeStore`."""
    variable_scope._VariableScopeStore.close_variable_subscopes = _close_variable_subscopes


def _close_variable_subscopes(store, scope_name):
    counts = store.variable_scopes_count
    if scope_name is None:
        counts.clear()
        return
    inside = f"{scope_name}/"
    for name in [name for name in counts if name.startswith(inside)]:
        del counts[name]
