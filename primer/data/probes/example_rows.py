"""The training rows of a probe: as many whole examples as fit, each a segment of its own."""

from collections.abc import Mapping
from typing import Any

import gin
import seqio
import tensorflow as tf

from primer.common.random_seed import run_seed
from primer.data.objectives import train_rows
from primer.data.probes.probe_source import ProbeSource
from primer.errors import UsageError


@gin.configurable(module="primer")
def example_rows(
    sequence_length: Mapping[str, int], vocabulary: Any = None, dataset_split: str = "train"
) -> tf.data.Dataset:
    """Returns rows of whole examples: those of training without end, or another split once.

    Args:
        sequence_length: {"targets": length of a row}.
        vocabulary: the vocabularies that Mesh-TensorFlow passes; unused.
        dataset_split: the split. The examples of the training split have the run's seed.

    Returns:
        A data set of {"targets", "targets_segmentation", "targets_position"}, [length] int32 each.
        A target that is no answer is negative. Examples are segments, numbered from 1; positions
        count from the start of each; all are 0 in padding.

    Raises:
        UsageError: the task is no probe, or its examples are longer than a row.
    """
    del vocabulary
    task, row = train_rows.training_task(), sequence_length["targets"]
    length = _example_length(task, row)
    examples = task.get_dataset(
        {"targets": length}, split=dataset_split, shuffle=False, num_epochs=1, seed=run_seed()
    )

    def join(targets: tf.Tensor) -> dict[str, tf.Tensor]:
        number = tf.shape(targets)[0]
        segments = tf.repeat(tf.range(1, number + 1), length)
        found = {
            "targets": tf.reshape(targets, [-1]),
            "targets_segmentation": segments,
            "targets_position": tf.tile(tf.range(length), [number]),
        }
        padding = [[0, row - number * length]]
        return {
            name: tf.ensure_shape(tf.pad(values, padding), [row]) for name, values in found.items()
        }

    joined = examples.map(lambda example: example["targets"]).batch(row // length)
    return joined.map(join, tf.data.AUTOTUNE, deterministic=True)


def _example_length(task: seqio.Task | seqio.Mixture, row: int) -> int:
    source = getattr(task, "source", None)
    if not isinstance(source, ProbeSource):
        raise UsageError(
            f"utils.run.train_dataset_fn = @example_rows is for probes (mqar, copying, induction), "
            f"and the task is {task.name}; list the data set's gin file last"
        )
    chosen = source.settings()
    if chosen.length > row:
        raise UsageError(
            f"{chosen.name}.length = {chosen.length}: an example is longer than a row of {row} "
            'tokens; expected utils.run.sequence_length = {"inputs": 1, "targets": '
            f"{chosen.length}}}, or a multiple of it"
        )
    return chosen.length
