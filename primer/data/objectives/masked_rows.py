"""The rows of a masked language model: those of any objective, with masks.

A model of `utils.run.model_type = "aligned"` reads `inputs` and predicts `targets` of the same
length. The segments of a row are those of its tokens before masking: `targets` is 0 at all tokens
that are not predicted, and padding cannot be told from them.
"""

from collections.abc import Mapping
from typing import Any

import gin
import seqio
import tensorflow as tf

from primer.common.random_seed import run_seed
from primer.data.objectives import token_masking, train_rows

_CHOICE = "mesh_tensorflow.transformer.utils.run.train_dataset_fn"


def is_chosen() -> bool:
    """Returns whether gin binds `masked_rows` as the data set of training."""
    try:
        chosen = gin.query_parameter(_CHOICE)
    except ValueError:  # Not bound.
        return False
    return getattr(chosen, "selector", "").endswith("masked_rows")


@gin.configurable(module="primer")
def masked_rows(
    sequence_length: Mapping[str, int], vocabulary: Any = None, dataset_split: str = "train"
) -> tf.data.Dataset:
    """Returns rows with masks: the endless training data, or another split once, in its order.

    Args:
        sequence_length: {"targets": length of a row}.
        vocabulary: the vocabularies that Mesh-TensorFlow passes; unused.
        dataset_split: the split. The masks of the training split have the run's seed; those of
            others are fixed (`masked_lm.evaluation_seed`).

    Returns:
        A data set of {"inputs", "targets", "targets_segmentation", "targets_position"}, [length]
        int32 each. Segments and positions are those of `train_rows`.

    Raises:
        UsageError: the settings are not valid, or the vocabulary has no id for the mask.
    """
    del vocabulary
    masking = token_masking.of_task(train_rows.training_task())
    lengths = {"targets": sequence_length["targets"]}
    if dataset_split == "train":
        seed, rows = run_seed(), train_rows.train_rows(lengths, dataset_split=dataset_split)
    else:
        seed, rows = masking.settings.evaluation_seed, _rows_in_order(lengths, dataset_split)
    return _with_masks(rows, masking, seed)


def _with_masks(rows, masking, seed):
    def mask(ids, number):
        return masking.mask(ids, seed, int(number))

    def add(number, example):
        ids = example["targets"]
        found = tf.numpy_function(mask, [ids, number], [tf.int32, tf.int32], stateful=False)
        inputs, targets = (tf.ensure_shape(part, ids.shape) for part in found)
        return {**example, "inputs": inputs, "targets": targets}

    return rows.enumerate().map(add, tf.data.AUTOTUNE, deterministic=True)


def _rows_in_order(lengths, split):
    """The rows of a whole split, of its texts in order; each is one segment."""
    task = train_rows.training_task()
    rows = task.get_dataset(lengths, split=split, shuffle=False, num_epochs=1, seed=0)
    rows = rows.map(lambda example: {"targets": example["targets"]})
    return train_rows.with_segments(seqio.trim_and_pad_dataset(rows, lengths))
