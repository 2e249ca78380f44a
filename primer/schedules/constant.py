"""The constant learning rate."""

from typing import Any

import gin
import tensorflow.compat.v1 as tf


@gin.configurable
def constant_schedule(step: Any, total_train_steps: int, learning_rate: float) -> tf.Tensor:
    """Returns the same rate at every step.

    Args:
        step: the step, a TensorFlow scalar from 0.
        total_train_steps: the steps of the run.
        learning_rate: the rate.
    """
    del step, total_train_steps
    return tf.constant(learning_rate, tf.float32)
