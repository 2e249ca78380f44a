"""Counts of variable scopes, which decide the names of default scopes."""

import copy

import tensorflow.compat.v1 as tf
from tensorflow.python.ops import variable_scope

from primer.runtime.patches.start_up import variable_scopes


def names_of_a_graph():
    """Returns names of operations and variables in nested, repeated and default scopes."""
    with tf.Graph().as_default():
        names = []
        for outer in ("a", "a", "ab", None):
            with tf.variable_scope(outer, default_name="default"):
                for inner in ("b", "b", None):
                    with tf.variable_scope(inner, default_name="layer") as own:
                        names.append(tf.constant(1).name)
                        variable = tf.get_variable(f"v{len(names)}", [])
                        names.append(variable.name)
                    with tf.variable_scope(own):
                        with tf.variable_scope(None, default_name="again"):
                            names.append(tf.get_variable(f"v{len(names)}", []).name)
        return names


def stock_close(store, scope_name):
    """TensorFlow's function, from which the patch differs in what it keeps."""
    for name in store.variable_scopes_count:
        if scope_name is None or name.startswith(scope_name + "/"):
            store.variable_scopes_count[name] = 0


def test_names_are_those_of_tensorflow(monkeypatch):
    store = variable_scope._VariableScopeStore
    monkeypatch.setattr(store, "close_variable_subscopes", stock_close)
    expected = names_of_a_graph()
    variable_scopes.patch(variable_scope)
    assert names_of_a_graph() == expected


def test_closed_scopes_are_forgotten():
    with tf.Graph().as_default():
        store = variable_scope.get_variable_scope_store()
        with tf.variable_scope("outer"):
            for number in range(10):
                with tf.variable_scope(f"inner_{number}"):
                    pass
        counts = copy.copy(store.variable_scopes_count)
        store.close_variable_subscopes(None)
        assert counts == {"outer": 1} and not store.variable_scopes_count
