"""A model of a few thousand parameters over bytes, for the tests of evaluation."""

import os
import tempfile

import gin
import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer, utils

from primer.common.recurrence import carried_state
from primer.evaluation.scorer import Scorer
from primer.evaluation.tokenized_split import from_documents
from primer.gin_config import config_files
from tests.layers import routing_margin

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
            config_files.MODEL_DEFAULTS,
            f"architectures/{architecture}.gin",
            f"activations/{activation}.gin",
        ],
        SIZE,
        finalize_config=False,
    )


def model(mesh_shape="", layout_rules="", vocabulary=VOCABULARY):
    """The configured language model."""
    return utils.build_model(
        "lm", vocabulary, vocabulary, mesh_shape=mesh_shape, layout_rules=layout_rules
    )


def scorer(rows=2, mesh_shape="", layout_rules="", vocabulary=VOCABULARY, **settings):
    """A scorer of the configured model."""
    made = model(mesh_shape, layout_rules, vocabulary)
    return Scorer(made, LENGTH, rows, mesh_shape, layout_rules, **settings)


def randomize(made, noise=0.2, seed=0):
    """Gives a scorer's model ones where training starts with them, and noise on all weights."""
    generator = np.random.default_rng(seed)

    def value(variable):
        initial = made._session.run(variable.initializer.inputs[1])
        return noise * generator.standard_normal(initial.shape) + (initial == 1)

    _load(made, value)


def zero(made):
    """Gives a scorer's model zeros for weights: it knows nothing."""
    _load(made, lambda variable: np.zeros(variable.shape.as_list()))


def _load(made, value):
    """Restores values into a scorer from a checkpoint that has them."""
    variables = sorted(made._session.graph.get_collection("variables"), key=lambda v: v.name)
    kept = [v for v in variables if not carried_state.is_part(v.op.name)]
    values = {v.op.name: value(v).astype(np.float32) for v in kept}
    with (
        tempfile.TemporaryDirectory() as folder,
        tf.Graph().as_default(),
        tf.Session() as session,
    ):
        saved = [tf.Variable(value, name=name) for name, value in values.items()]
        session.run([variable.initializer for variable in saved])
        path = tf.train.Saver(saved).save(session, os.path.join(folder, "model.ckpt"), 1)
        made.restore(path)


def text(seed=0, documents=9):
    """Documents of random tokens: of one, of a few, and of more than two windows, at least."""
    generator = np.random.default_rng(seed)
    lengths = [0, 2 * LENGTH + 3, LENGTH - 1, 3, *generator.integers(0, 20, documents - 4)]
    ids = [generator.integers(3, VOCABULARY, length) for length in lengths]
    return from_documents([("x" * len(own), own) for own in ids], 1)


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


def save_and_logits(directory, ids, scale=1.0, step=1, weights=None):
    """Saves a checkpoint of random weights; returns its path and its logits.

    Args:
        directory: where model.ckpt-<step> goes.
        ids: [batch, length] token ids.
        scale: what the initial weights are multiplied by; 0 for a model that knows nothing.
        step: the number in the name.
        weights: the path of a checkpoint to take the weights from.

    Returns:
        (path, logits [batch, length, padded vocabulary]) of a graph that no scorer had a part in.
    """
    with tf.Graph().as_default(), routing_margin.recorded() as margins:
        tf.set_random_seed(step)
        mesh = mtf.Mesh(mtf.Graph(), "reference")
        logits = _mtf_logits(mesh, np.asarray(ids))
        mesh_impl = mtf.placement_mesh_impl.PlacementMeshImpl("", "", [""])
        lowering = mtf.Lowering(mesh.graph, {mesh: mesh_impl})
        exported = lowering.export_to_tf_tensor(logits)
        margins = [lowering.export_to_tf_tensor(margin) for margin in margins]
        scaled = [tf.assign(v, v * scale) for v in tf.global_variables()]
        saver = tf.train.Saver(tf.global_variables())
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            if weights:
                saver.restore(sess, weights)
            sess.run(scaled)
            sess.run(lowering.copy_masters_to_slices())
            path = saver.save(sess, f"{directory}/model.ckpt", global_step=step)
            values, margins = sess.run((exported, margins))
            if scale:  # Without weights all experts are equal.
                routing_margin.check(margins)
            return path, values
