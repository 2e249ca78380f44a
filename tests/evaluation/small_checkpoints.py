"""Checkpoints of a few numbers, written and read by TensorFlow's own Saver."""

import tensorflow.compat.v1 as tf


def save(directory, step, values):
    """Writes `model.ckpt-<step>` with variables of these values; returns its path."""
    with tf.Graph().as_default(), tf.Session() as sess:
        for name, value in values.items():
            tf.get_variable(name, initializer=tf.constant(value), use_resource=True)
        sess.run(tf.global_variables_initializer())
        saver = tf.train.Saver(max_to_keep=None)
        return saver.save(sess, f"{directory}/model.ckpt", global_step=step, write_state=False)


def load(path):
    """Name -> value."""
    reader = tf.train.NewCheckpointReader(str(path))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
