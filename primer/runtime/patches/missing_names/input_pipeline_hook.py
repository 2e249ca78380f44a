"""TensorFlow 2.21 dropped `CheckpointInputPipelineHook`, which Mesh-TF 0.1.21 uses.

Mesh-TF makes the hook where `checkpoint_input_pipeline` is set. The local estimator saves the
position of the input pipeline with every checkpoint
(`primer.runtime.training.saving.input_position`), so the patch provides a hook that does nothing.
"""

from types import ModuleType

import tensorflow.compat.v1 as tf


class CheckpointInputPipelineHook(tf.train.SessionRunHook):
    """Accepts the arguments of TensorFlow's hook and does nothing."""

    def __init__(self, estimator: object, external_state_policy: object = None) -> None:
        del estimator, external_state_policy


def patch(tensorflow: ModuleType) -> None:
    """Patches `tensorflow.compat.v1.data.experimental` where it lacks the hook."""
    experimental = tensorflow.compat.v1.data.experimental
    if not hasattr(experimental, "CheckpointInputPipelineHook"):
        experimental.CheckpointInputPipelineHook = CheckpointInputPipelineHook
