"""The rows of training as Mesh-TensorFlow takes them, for objectives that make whole rows.

T5 packs: it puts several examples into a row, each a segment that does not see the others. Ours
come as rows, and a row is one segment, so that a document sees what stands before it. With
`train_rows.separate_documents` each document of a row is a segment, as if it were alone.
"""

import gin
import seqio
import tensorflow as tf

from primer.data.objectives import row_objectives
from primer.errors import UsageError


@gin.configurable(module="primer")
def train_rows(sequence_length, vocabulary=None, dataset_split="train", separate_documents=False):
    """The training data, through t5's `mesh_train_dataset_fn` and with its settings.

    Args:
        sequence_length: {"targets": length of a row}.
        vocabulary: not used; Mesh-TensorFlow passes it.
        dataset_split: the split.
        separate_documents: whether documents that share a row do not see each other.

    Returns:
        A data set of {"targets", "targets_segmentation", "targets_position"}, [length] int32 each.
        Padding has segment 0; positions count from the start of the segment.
    """
    from t5.models import mesh_transformer

    settings = {"vocabulary": vocabulary, "dataset_split": dataset_split}
    if row_objectives.ends_documents():
        rows = mesh_transformer.mesh_train_dataset_fn(
            sequence_length=sequence_length, pack=False, **settings
        )
        return rows.map(_with_segments(separate_documents), tf.data.AUTOTUNE)
    if separate_documents:
        raise UsageError(
            "train_rows.separate_documents is True, which is for objectives/lm_documents.gin and "
            "its like; T5's objectives separate the examples of a row anyway"
        )
    return mesh_transformer.mesh_train_dataset_fn(sequence_length=sequence_length, **settings)


def _with_segments(separate):
    def add(example):
        targets = example["targets"]
        segments, positions = segments_of(targets, _end_token() if separate else None)
        return {
            "targets": targets,
            "targets_segmentation": segments,
            "targets_position": positions,
        }

    return add


def _end_token():
    name = gin.query_parameter(
        "t5.models.mesh_transformer.mesh_train_dataset_fn.mixture_or_task_name"
    )
    if isinstance(name, gin.config.ConfigurableReference):
        name = name.scoped_configurable_fn()
    return seqio.get_mixture_or_task(name).output_features["targets"].vocabulary.eos_id


def segments_of(targets: tf.Tensor, eos_id: int | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Segments and positions of a row, as T5's packing numbers them.

    Args:
        targets: a row [length], 0 for padding at its end.
        eos_id: the token behind which a segment begins; None for one segment.

    Returns:
        (segments from 1, positions from 0), [length] int32 each; both 0 in padding.
    """
    places = tf.range(tf.size(targets))
    begins = tf.equal(places, 0)
    if eos_id is not None:
        behind_end = tf.concat([[False], tf.equal(targets[:-1], eos_id)], 0)
        begins |= behind_end
    segments = tf.cumsum(tf.cast(begins, tf.int32))
    starts = tf.cast(tf.where(begins)[:, 0], tf.int32)
    is_token = tf.cast(tf.not_equal(targets, 0), tf.int32)
    positions = places - tf.gather(starts, segments - 1)
    shape = targets.shape
    return tuple(tf.ensure_shape(x * is_token, shape) for x in (segments, positions))
