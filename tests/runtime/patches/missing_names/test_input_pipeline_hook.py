"""The hook that TensorFlow 2.21 dropped."""

import types

import tensorflow as tf

from primer.runtime.patches.missing_names import input_pipeline_hook


def namespace(**names):
    """A package with the names in `compat.v1.data.experimental`."""
    experimental = types.SimpleNamespace(**names)
    data = types.SimpleNamespace(experimental=experimental)
    package = types.SimpleNamespace(
        compat=types.SimpleNamespace(v1=types.SimpleNamespace(data=data))
    )
    return package, experimental


def test_the_installed_tensorflow_has_it():
    assert hasattr(tf.compat.v1.data.experimental, "CheckpointInputPipelineHook")


def test_a_missing_hook_is_added_as_mesh_tensorflow_makes_it():
    package, experimental = namespace()
    input_pipeline_hook.patch(package)
    hook = experimental.CheckpointInputPipelineHook("an estimator")
    assert isinstance(hook, tf.compat.v1.train.SessionRunHook)


def test_an_existing_hook_is_left_alone():
    existing = object()
    package, experimental = namespace(CheckpointInputPipelineHook=existing)
    input_pipeline_hook.patch(package)
    assert experimental.CheckpointInputPipelineHook is existing
