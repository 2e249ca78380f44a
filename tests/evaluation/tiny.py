"""A model of a few thousand parameters over bytes, for the tests of evaluation."""

import gin
import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer, utils

from primer import config_files
from primer.evaluation.scorer import Scorer

VOCABULARY = 259  # Bytes; padded to 384.
PADDED = 384
LENGTH = 16

SIZE = """
d_model = 16
num_layers = 2
num_heads = 4
d_kv = 4
d_ff = 32
"""


def configure(architecture="primer", activation="squared_relu"):
    """Parses the project's own gin files and the size above."""
    gin.add_config_file_search_path(config_files.gin_directory())
    gin.parse_config_files_and_bindings(
        [
            config_files.DEFAULTS,
            f"architectures/{architecture}.gin",
            f"activations/{activation}.gin",
        ],
        SIZE,
        finalize_config=False,
    )


def model(mesh_shape="", layout_rules=""):
    """The configured language model."""
    return utils.build_model(
        "lm", VOCABULARY, VOCABULARY, mesh_shape=mesh_shape, layout_rules=layout_rules
    )


def scorer(rows=2, mesh_shape="", layout_rules=""):
    """A scorer of the configured model."""
    made = model(mesh_shape, layout_rules)
    return Scorer(made, LENGTH, rows, mesh_shape, layout_rules)


def _mtf_logits(mesh, ids):
    shape = [mtf.Dimension("batch", ids.shape[0]), mtf.Dimension("length", ids.shape[1])]
    targets = mtf.import_fully_replicated(mesh, tf.constant(ids, tf.int32), shape, "ids")
    return model().call_simple(
        inputs=transformer.autoregressive_inputs(targets),
        targets=targets,
        compute_loss=False,
        mode="eval",
        variable_dtype=mtf.VariableDType(tf.float32, tf.float32, tf.float32),
    )[0]


def save_and_logits(directory, ids, scale=1.0, step=1):
    """Saves a checkpoint of random weights; returns its path and its logits.

    Args:
      directory: where model.ckpt-<step> goes.
      ids: [batch, length] token ids.
      scale: what the initial weights are multiplied by; 0 for a model that knows nothing.
      step: the number in the name.

    Returns:
      (path, logits [batch, length, padded vocabulary]) of a graph that no scorer had a part in.
    """
    with tf.Graph().as_default():
        mesh = mtf.Mesh(mtf.Graph(), "reference")
        logits = _mtf_logits(mesh, np.asarray(ids))
        mesh_impl = mtf.placement_mesh_impl.PlacementMeshImpl("", "", [""])
        lowering = mtf.Lowering(mesh.graph, {mesh: mesh_impl})
        exported = lowering.export_to_tf_tensor(logits)
        scaled = [tf.assign(v, v * scale) for v in tf.global_variables()]
        saver = tf.train.Saver(tf.global_variables())
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            sess.run(scaled)
            sess.run(lowering.copy_masters_to_slices())
            path = saver.save(sess, f"{directory}/model.ckpt", global_step=step)
            return path, sess.run(exported)
