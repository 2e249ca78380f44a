"""The training rows as Mesh-TensorFlow reads them, for objectives that make whole rows.

T5 packs several examples into a row, each a segment that does not attend to the others. Primer's
objectives make whole rows, each of one segment, so that a document attends to those before it in
its row. With `train_rows.separate_documents` each document of a row is a segment, and with
`train_rows.carried_segments` each pass over the text (`carried_segments`).
"""

from collections.abc import Mapping
from typing import Any

import gin
import seqio
import tensorflow as tf

from primer.common import checks
from primer.data.objectives import carried_segments as passes
from primer.data.objectives import row_objectives
from primer.errors import UsageError


@gin.configurable(module="primer")
def train_rows(
    sequence_length: Mapping[str, int],
    vocabulary: Any = None,
    dataset_split: str = "train",
    separate_documents: bool = False,
    carried_segments: bool = False,
) -> tf.data.Dataset:
    """Returns the training data, through t5's `mesh_train_dataset_fn` and with its settings.

    Args:
        sequence_length: {"targets": length of a row}.
        vocabulary: the vocabularies that Mesh-TensorFlow passes; t5 does not use them.
        dataset_split: the split.
        separate_documents: whether documents in one row do not attend to each other.
        carried_segments: whether a segment goes on from row to row until the pass over the text
            ends, for a model whose memory does.

    Returns:
        A data set of {"targets", "targets_segmentation", "targets_position"}, [length] int32 each.
        Padding has segment 0; positions count from the start of the segment in the row.

    Raises:
        UsageError: `separate_documents` is set and the objective does not make whole rows, or
            `carried_segments` and rows do not continue each other.
    """
    from t5.models import mesh_transformer

    settings = {"vocabulary": vocabulary, "dataset_split": dataset_split}
    if checks.boolean("train_rows.carried_segments", carried_segments):
        _check_carried(separate_documents)
        with passes.collected() as made:
            rows = mesh_transformer.mesh_train_dataset_fn(
                sequence_length=sequence_length, pack=False, **settings
            )
        return passes.with_passes(rows, made)
    if row_objectives.ends_documents():
        rows = mesh_transformer.mesh_train_dataset_fn(
            sequence_length=sequence_length, pack=False, **settings
        )
        return with_segments(rows, separate_documents)
    if separate_documents:
        raise UsageError(
            "train_rows.separate_documents is True; expected False, as T5's objectives always "
            "separate the examples of a row, or an objective like objectives/lm_documents.gin"
        )
    return mesh_transformer.mesh_train_dataset_fn(sequence_length=sequence_length, **settings)


def require_stream(setting: str) -> None:
    """Raises UsageError unless rows continue each other, which a setting needs.

    Args:
        setting: the setting and its value, as "carry_memory = True".

    Raises:
        UsageError: the objective is another one, whose rows come in random order.
    """
    if not row_objectives.is_stream():
        chosen = ", ".join(row_objectives.chosen_preprocessors()) or "none"
        raise UsageError(
            f"{setting}: memory goes from row to row, and the rows of the objective in force "
            f"({chosen}) are shuffled; expected objectives/lm_stream.gin, listed after the data "
            "set's file"
        )


def _check_carried(separate_documents):
    """Raises UsageError unless rows continue each other and each pass can be a segment."""
    require_stream("train_rows.carried_segments = True")
    if separate_documents:
        raise UsageError(
            "train_rows.separate_documents = True: expected False with train_rows.carried_segments "
            "(memory from row to row), which makes each pass over the text a segment; documents "
            "then see those before them"
        )


def with_segments(rows: tf.data.Dataset, separate_documents: bool = False) -> tf.data.Dataset:
    """Returns rows {"targets": [length]} with their segments and positions; as `train_rows`."""

    def add(example):
        targets = example["targets"]
        eos_id = training_task().output_features["targets"].vocabulary.eos_id
        segments, positions = segments_of(targets, eos_id if separate_documents else None)
        return {
            "targets": targets,
            "targets_segmentation": segments,
            "targets_position": positions,
        }

    return rows.map(add, tf.data.AUTOTUNE)


def training_task() -> seqio.Task | seqio.Mixture:
    """Returns the task or mixture that gin names for training."""
    name = gin.query_parameter(
        "t5.models.mesh_transformer.mesh_train_dataset_fn.mixture_or_task_name"
    )
    if isinstance(name, gin.config.ConfigurableReference):
        name = name.scoped_configurable_fn()
    return seqio.get_mixture_or_task(name)


def segments_of(targets: tf.Tensor, eos_id: int | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the segments and positions of a row, numbered as in T5's packing.

    Args:
        targets: a row [length], 0 for padding at its end.
        eos_id: the token after which a segment begins; None for one segment.

    Returns:
        (segments from 1, positions from 0), [length] int32 each; both 0 in padding.
    """
    indexes = tf.range(tf.size(targets))
    begins = tf.equal(indexes, 0)
    if eos_id is not None:
        begins |= tf.concat([[False], tf.equal(targets[:-1], eos_id)], 0)
    segments = tf.cumsum(tf.cast(begins, tf.int32))
    starts = tf.cast(tf.where(begins)[:, 0], tf.int32)
    is_token = tf.cast(tf.not_equal(targets, 0), tf.int32)
    positions = indexes - tf.gather(starts, segments - 1)
    shape = targets.shape
    return tuple(tf.ensure_shape(x * is_token, shape) for x in (segments, positions))
