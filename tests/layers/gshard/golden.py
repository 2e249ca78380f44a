"""Golden files of Lingvo's GShard models, and our models with their weights.

PRIMER_PARITY_DIR names another folder with files of the same names and other sizes.
"""

import functools
import json

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from tests import gin_models
from tests.layers import helpers
from tests.layers.gshard import names
from tests.layers.gshard.settings import Settings
from tests.paths import GOLDEN, PARITY

FOLDER = GOLDEN / "gshard" if PARITY == GOLDEN else PARITY
FLOAT32 = mtf.VariableDType(tf.float32, tf.float32, tf.float32)


class Golden:
    """A golden file.

    Args:
        variant: the part of the file's name behind `gshard_`.

    Attributes:
        arrays: {key: array}.
        settings: the model's `Settings`.
    """

    def __init__(self, variant):
        with np.load(FOLDER / f"gshard_{variant}.npz") as arrays:
            self.arrays = dict(arrays)
        self.config = json.loads(str(self.arrays["config"]))
        self.settings = Settings(self.config)

    def by_prefix(self, prefix):
        """Returns {our name of the variable: array} of the keys that start with a prefix."""
        found = helpers.by_prefix(self.arrays, prefix)
        return {names.ours(name): value for name, value in found.items()}

    def numbers(self, batch):
        """Returns what Lingvo computes of a batch, {key: array}, and the batch itself."""
        return helpers.by_prefix(self.arrays, f"{batch}/")

    @functools.cached_property
    def variables(self):
        return self.by_prefix("var/")

    @functools.cached_property
    def batches(self):
        """The names of the batches: packed, plain and perhaps synthetic."""
        return [key.split("/")[0] for key in self.arrays if key.endswith("/logits")]

    def batch(self, name):
        """Returns ids, labels, segment_ids and segment_pos `[batch, length]`."""
        keys = ("ids", "labels", "segment_ids", "segment_pos")
        return {key: self.arrays[f"{name}/{key}"] for key in keys}

    def build(self, bindings=(), **where):
        """Builds the model; later bindings win."""
        settings = self.settings
        all_bindings = (*settings.bindings, *bindings)
        return gin_models.build(settings.files, all_bindings, settings.vocabulary_size, **where)


read = functools.cache(Golden)


def loss(model, bench, batch, mode):
    """Calls a model with a batch; returns the logits, the loss and the labels as Tensors."""
    put = {key: bench.put(value, "batch", "length") for key, value in batch.items()}
    logits, loss = model.call_simple(
        inputs=put["ids"],
        targets=put["labels"],
        compute_loss=True,
        mode=mode,
        variable_dtype=FLOAT32,
        sequence_id=put["segment_ids"],
        position=put["segment_pos"],
    )
    return logits, loss, put["labels"]


def forward(golden, batch, bindings=(), mode="train", gradients=True, **where):
    """Runs a batch.

    Args:
        golden: a Golden.
        batch: ids, labels, segment_ids and segment_pos.
        bindings: further gin bindings.
        mode: "train" or "eval".
        gradients: whether to return `grad/<variable>` too.
        **where: a mesh_shape and a layout.

    Returns:
        a dict: logits `[batch, length, vocab]`, loss, the cross entropy of each token (`xent`), the
        same with smoothing and z-loss (`per_token_loss`), all with padding.
    """
    model = golden.build(bindings, **where)
    with helpers.bench(variables=golden.variables, **where) as b:
        logits, mean, labels = loss(model, b, batch, mode)
        found = {"logits": logits, "loss": mean, **_per_token(model, logits, labels)}
        trainable = b.graph.trainable_variables if gradients else []
        for v, g in zip(trainable, mtf.gradients([mean], [v.value for v in trainable])):
            found["grad/" + v.name] = g
        return b.run(found)


def _per_token(model, logits, labels):
    """Returns the losses `[batch, length]` with the function that the model's loss has."""
    dim = logits.shape.dims[-1]
    ids = mtf.maximum(labels, 0)
    entropy = mtf.layers.softmax_cross_entropy_with_logits
    off = model.label_smoothing / dim.size
    smoothed = mtf.one_hot(ids, dim, on_value=1.0 - model.label_smoothing + off, off_value=off)
    return {
        "xent": entropy(logits, mtf.one_hot(ids, dim), dim),
        "per_token_loss": entropy(logits, smoothed, dim, z_loss=model.z_loss),
    }
