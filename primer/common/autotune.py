"""Input pipelines that end when they are told to.

tf.data tunes a pipeline's parallelism while it runs, in a thread that sleeps between two looks, up
to a minute. Who ends the pipeline waits for that thread, which TensorFlow 2.21 does not always
wake: closing the session of an evaluation then took up to as long as the evaluation had lasted.
A
step that left its parallelism to tf.data now has a thread for each processor, and training waits
for its batches no longer than before (benchmarks/data.py).
"""

import tensorflow.compat.v1 as tf


def off(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same elements; nothing is tuned, and nobody waits at the end."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
