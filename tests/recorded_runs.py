"""Losses and graph fingerprints of each composition at the tiny size, to compare with records.

The model goes through `utils.run` and the local estimator, so that the gin files, the patches of
Mesh-TensorFlow, the optimizer and the learning-rate schedule all affect the numbers. The tokens are
random; other tests cover the input pipeline.
"""

import contextlib
import hashlib
import os
import platform

import numpy as np
import tensorflow.compat.v1 as tf
from absl import flags
from mesh_tensorflow.transformer import utils

from primer.common import random_seed
from primer.evaluation.scorer import Scorer
from primer.generation.step_graph import StepGraph
from primer.planning.run_graph import SizedVocabulary
from tests import gin_models
from tests.graph_fingerprint import fingerprint

STEPS = 10
ROWS, LENGTH, VOCABULARY = 4, 24, 97

# No warmup, so that ten steps change the weights; microbatches of two rows.
SETTINGS = f"""
run.model_type = "lm"
utils.run.sequence_length = {{"inputs": 1, "targets": {LENGTH}}}
utils.run.batch_size = {ROWS}
utils.run.train_steps = {STEPS}
utils.run.learning_rate_schedule = 0.02
utils.run.mesh_shape = ""
utils.run.mesh_devices = None
utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = {2 * LENGTH}
precision.activation_dtype = "float32"
run_seed.seed = 1
max_length = {LENGTH}
window = 8
"""


def estimator(composition, model_dir):
    """Returns the local estimator of (architecture, overlay or None) at the tiny size."""
    architecture, overlay = composition
    return estimator_of(gin_models.files(architecture, overlay=overlay), [SETTINGS], model_dir)


def estimator_of(files, bindings, model_dir):
    """Returns the local estimator of a run that gin describes, as `utils.run` makes it."""
    _parse_flags()
    gin_models.parse(files, bindings)
    made = []
    utils.run(
        **dict.fromkeys(("tpu_job_name", "tpu", "gcp_project", "tpu_zone")),
        model_dir=str(model_dir),
        vocabulary=SizedVocabulary(VOCABULARY),
        train_dataset_fn=len,  # Never called.
        train_model_fn=lambda estimator, *unused, **settings: made.append(estimator),
    )
    return made[0]


def _parse_flags():
    tf.disable_v2_behavior()
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])


def batches():
    """Yields packed rows for each step: token ids, segment of each token, position in it."""
    generator = np.random.default_rng(0)
    for _ in range(STEPS):
        cut = generator.integers(4, LENGTH - 8, [ROWS, 1])
        index = np.arange(LENGTH)[None]
        text = np.where(index < cut, 1, np.where(index < LENGTH - 3, 2, 0))
        yield {
            "targets": generator.integers(2, VOCABULARY, [ROWS, LENGTH]) * (text > 0),
            "targets_segmentation": text,
            "targets_position": np.where(text == 1, index, index - cut) * (text > 0),
        }


def features():
    """Returns placeholders for a batch."""
    names = ("targets", "targets_segmentation", "targets_position")
    return {name: tf.placeholder(tf.int32, [ROWS, LENGTH], name) for name in names}


def train(estimator):
    """Trains for ten steps.

    Returns:
        (the fingerprint of the graph, the loss of each step as a float).
    """
    with tf.Graph().as_default() as graph:
        spec, feeds = training_graph(estimator)
        found = fingerprint(graph)
        with training_session(spec) as session:
            losses = []
            for batch in batches():
                feed = {feeds[name]: value for name, value in batch.items()}
                losses.append(float(session.run([spec.loss, spec.train_op], feed)[0]))
    return found, losses


def training_graph(estimator):
    """Builds training in the default graph; returns its specification and its placeholders."""
    # As in training: random numbers depend on the step.
    random_seed.set_step_key(tf.train.get_or_create_global_step())
    feeds = features()
    return estimator.call_model(feeds, "train"), feeds


def training_session(spec):
    """Returns a session that has initialized the variables and saves nothing."""
    hooks = [
        hook
        for hook in [*spec.training_chief_hooks, *spec.training_hooks]
        if type(hook).__name__ != "CheckpointSaverHook"
    ]
    return tf.train.SingularMonitoredSession(hooks=hooks)


def evaluation_graph(estimator):
    """Returns the fingerprint of the graph of `mode = "perplexity_eval"`."""
    with tf.Graph().as_default() as graph:
        tf.train.get_or_create_global_step()
        estimator.call_model(features(), "eval")
    return fingerprint(graph)


def scoring_graph(estimator):
    """Returns the fingerprint of the graph of `primer eval`."""
    scorer = Scorer(estimator.model, LENGTH, ROWS)
    scorer.close()
    return fingerprint(scorer._session.graph)


def decoding_graph(estimator):
    """Returns the fingerprint of the graph of `primer generate`."""
    graph = StepGraph(estimator.model, ROWS, LENGTH)
    graph.close()
    return fingerprint(graph._session.graph)


def machine():
    """Describes what determines the last bit of a float32 sum: processor and TensorFlow."""
    described = platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        kinds = {line for line in lines if line.startswith(("model name", "flags"))}
        described = hashlib.sha256("".join(sorted(kinds)).encode()).hexdigest()[:8]
    return f"{described}, {os.cpu_count()} processors, TensorFlow {tf.version.VERSION}"


def record(composition, model_dir):
    """Returns the losses, machine and graph fingerprints of a composition as plain data."""
    made = estimator(composition, model_dir)
    training, losses = train(made)
    return {
        "losses": losses,
        "machine": machine(),
        "graphs": {
            "train": training,
            "perplexity_eval": evaluation_graph(made),
            "primer_eval": scoring_graph(made),
            "generate": decoding_graph(made),
        },
    }
