"""The task `synthetic`: random token ids, for speed tests of any size without any data.

    synthetic.vocabulary_size = 32000
    synthetic.mean_tokens = 512

`datasets/synthetic.gin` packs the documents into rows in which no document sees another. With
`objectives/synthetic_ones.gin` a batch is the one of Lingvo's SyntheticTrain
(`lingvo/tasks/lm/params/synthetic_packed_input.py`): ids, segments and positions are all 1, so that
experts get equal tokens, and a model that masks by positions masks nothing.

The numbers of a model that was trained on it mean nothing but its speed and its memory.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import gin
import seqio
import tensorflow as tf

from primer.common import checks, tf_data
from primer.data.sources.made_source import MadeSource
from primer.data.vocabularies.id_vocabulary import Ids, IdVocabulary

# The validation split has a document for so many of the training split.
_TRAIN_TO_VALIDATION = 100
_FIRST_ID = 2  # After padding and the end token.


@gin.configurable("synthetic", module="primer")
@dataclasses.dataclass(frozen=True)
class Synthetic:
    """The documents.

    Attributes:
        vocabulary_size: the number of ids, padding (0) and the end token (1) among them.
        documents: the documents of the training split; the validation split has a hundredth.
        mean_tokens: the mean of their lengths, which are uniform from 1 to twice the mean less 1.
        seed: of ids and lengths.
    """

    vocabulary_size: int = 32_000
    documents: int = 10_000
    mean_tokens: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UsageError for a number that is too small."""
        checks.whole_number("synthetic.vocabulary_size", self.vocabulary_size, _FIRST_ID + 1)
        checks.whole_number("synthetic.documents", self.documents)
        checks.whole_number("synthetic.mean_tokens", self.mean_tokens)


class SyntheticVocabulary(IdVocabulary):
    """The ids of `synthetic.vocabulary_size`."""

    def ids(self) -> Ids:
        """Returns the ids."""
        size = Synthetic().vocabulary_size
        return Ids(size, 1, f"synthetic {size}")


class SyntheticSource(MadeSource):
    """Documents of random ids, {"targets": [length] int32}; the same ones in every run."""

    def __init__(self) -> None:
        super().__init__(("train", "validation"))

    def check(self, split: str, data_dir: str | None = None) -> None:
        """Raises UsageError for a setting that is wrong."""
        del split, data_dir
        Synthetic()

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
        **options: Any,
    ) -> tf.data.Dataset:
        """Returns the documents of a split, as `seqio.DataSource.get_dataset`."""
        del options
        settings = Synthetic()
        validation = max(1, settings.documents // _TRAIN_TO_VALIDATION)
        # The documents of both splits are numbered together, those of validation first.
        first, end = 0, validation
        if split == "train":
            first, end = validation, validation + settings.documents
        numbers = tf_data.shard_of(tf.data.Dataset.range(first, end), shard_info)
        if shuffle:
            numbers = numbers.shuffle(settings.documents, seed=seed)
        return numbers.map(lambda number: _document(settings, number), tf.data.AUTOTUNE)


def _document(settings: Synthetic, number: tf.Tensor) -> dict[str, tf.Tensor]:
    seed = tf.stack([tf.constant(settings.seed, tf.int64), number])
    length = tf.random.stateless_uniform([], seed, 1, 2 * settings.mean_tokens, tf.int32)
    ids = tf.random.stateless_uniform(
        [length], seed + 1, _FIRST_ID, settings.vocabulary_size, tf.int32
    )
    return {"targets": ids}


@gin.configurable(module="primer")
def synthetic_ones(
    sequence_length: Mapping[str, int], vocabulary: Any = None, dataset_split: str = "train"
) -> tf.data.Dataset:
    """Returns rows in which every array is 1, without end: Lingvo's SyntheticTrain.

    Args:
        sequence_length: {"targets": length of a row}.
        vocabulary, dataset_split: what Mesh-TensorFlow passes; the rows do not depend on them.

    Returns:
        A data set of {"targets", "targets_segmentation", "targets_position"}, [length] int32 each.
    """
    del vocabulary, dataset_split
    row = tf.ones([sequence_length["targets"]], tf.int32)
    names = ("targets", "targets_segmentation", "targets_position")
    return tf.data.Dataset.from_tensors(dict.fromkeys(names, row)).repeat()
