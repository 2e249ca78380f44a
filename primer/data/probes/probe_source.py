"""The data source and the vocabulary of a probe's task."""

from collections.abc import Callable
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from primer.common import tf_data
from primer.data.objectives import row_objectives
from primer.data.probes import probe
from primer.data.sources.made_source import MadeSource
from primer.data.vocabularies.id_vocabulary import Ids, IdVocabulary
from primer.errors import UsageError

# Blocks of the training split: more than any run reads.
_TRAINING_BLOCKS = 2**50


class ProbeVocabulary(IdVocabulary):
    """The ids of a probe.

    Args:
        settings: returns the probe as gin configures it.
    """

    def __init__(self, settings: Callable[[], probe.Probe]) -> None:
        super().__init__("ids")
        self._settings = settings

    def ids(self) -> Ids:
        """Returns the ids."""
        chosen = self._settings()
        return Ids(chosen.vocabulary_size, probe.END, f"{chosen.name} {chosen.vocabulary_size}")


class ProbeSource(MadeSource):
    """The examples of a probe, {"targets": [length] int32}; tokens that are no answers negative.

    The training split has no end. Its examples depend on the seed with which it is read, and do not
    depend on each other, so that `shuffle` has nothing to do.

    Args:
        settings: returns the probe as gin configures it.

    Attributes:
        marks_answers: True: the loss counts ids above 0 alone.
        endless_splits: the splits that no evaluation can read to their end.
    """

    marks_answers = True
    endless_splits = (probe.TRAIN,)

    def __init__(self, settings: Callable[[], probe.Probe]) -> None:
        super().__init__(probe.SPLITS)
        self.settings = settings

    def check(self, split: str, data_dir: str | None = None) -> None:
        """Raises UsageError for a setting that is wrong, or for rows that continue each other."""
        del split, data_dir
        chosen = self.settings().checked()
        if row_objectives.is_stream():
            raise UsageError(
                f"task {chosen.name} has the objective lm_stream, whose rows continue each other, "
                f"and its examples do not; leave out objectives/lm_stream.gin"
            )

    def get_dataset(
        self,
        split: str = probe.TRAIN,
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
        **options: Any,
    ) -> tf.data.Dataset:
        """Returns the examples of a split, as `seqio.DataSource.get_dataset`."""
        del shuffle, options
        chosen = self.settings().checked()
        blocks = _TRAINING_BLOCKS
        if split == probe.VALIDATION:
            blocks = -(-chosen.validation_examples // probe.BLOCK)

        def block(number: np.ndarray) -> np.ndarray:
            return chosen.block(split, seed or 0, int(number))

        def examples(number: tf.Tensor) -> dict[str, tf.Tensor]:
            targets = tf.numpy_function(block, [number], tf.int32, stateful=False)
            # Examples of unknown length, as documents are.
            return {"targets": tf.ensure_shape(targets, [None, None])}

        numbers = tf_data.shard_of(tf.data.Dataset.range(blocks), shard_info)
        return numbers.map(examples, tf.data.AUTOTUNE, deterministic=True).unbatch()
