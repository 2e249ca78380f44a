"""Exports a model's predictions as a SavedModel, in the Estimator's layout."""

import os
import time
from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf

from primer.runtime import session
from primer.runtime.patches import score_ids


def write_saved_model(
    estimator: Any, base: str, serving_input_receiver_fn: Callable, checkpoint_path: str
) -> str:
    """Writes a SavedModel whose signature maps a serving input to the model's predictions.

    Args:
        estimator: a LocalEstimator.
        base: a directory; the model is written to a new subdirectory, named by the time in seconds.
        serving_input_receiver_fn: makes a ServingInputReceiver in the default graph.
        checkpoint_path: the checkpoint of the weights.

    Returns:
        The directory of the SavedModel.
    """
    directory = _new_directory(base)
    with tf.Graph().as_default():
        receiver = serving_input_receiver_fn()
        with score_ids.exporting():
            spec = estimator.call_model(dict(receiver.features), "infer")
        scaffold = spec.scaffold_fn() if spec.scaffold_fn else tf.train.Scaffold()
        local_init = scaffold.local_init_op or tf.train.Scaffold.default_local_init_op()
        signature = tf.saved_model.predict_signature_def(
            inputs=dict(receiver.receiver_tensors), outputs=dict(spec.predictions)
        )
        builder = tf.saved_model.builder.SavedModelBuilder(directory)
        saver = tf.train.Saver(tf.global_variables(), sharded=True)
        with session.restored_unfinalized(estimator, checkpoint_path) as sess:
            builder.add_meta_graph_and_variables(
                sess,
                [tf.saved_model.SERVING],
                signature_def_map={tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature},
                main_op=local_init,
                saver=saver,
            )
        builder.save()
    return directory


def _new_directory(base: str) -> str:
    """Returns a path below `base` named by the time in seconds, as TensorFlow Serving expects."""
    while True:
        directory = os.path.join(base, str(int(time.time())))
        if not tf.io.gfile.exists(directory):
            return directory
        time.sleep(1)
