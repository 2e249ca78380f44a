"""The task `gpt_neo_records`: TFRecords of token ids in GPT-Neo's format.

    gpt_neo_records.glob = "/data/train_*.tfrecords"
    gpt_neo_records.validation_glob = "/data/validation_*.tfrecords"
    gpt_neo_records.vocabulary_size = 50257         # None: the ids are those of task_vocabulary
    gpt_neo_records.end_token = 50256

A record has the ids of a document, or of a chunk of joined documents, including end tokens, under
`text`. Mesh-TensorFlow takes id 0 for padding. With `vocabulary_size` the ids are those of another
vocabulary, in which 0 may be an ordinary token: each id is then increased by one, and the model's
vocabulary has one id more. With a tokenizer of Hugging Face as task_vocabulary the ids are the
tokenizer's own, and are increased where it has no padding token of id 0 (`id_offset`).
"""

import dataclasses
import os
import re
import struct
from typing import Any

import gin
import seqio
import tensorflow as tf

from primer.common import files, path_settings, tf_data, user_paths
from primer.data.sources import availability, text_files
from primer.data.vocabularies.id_vocabulary import Ids, IdVocabulary
from primer.data.vocabularies.task_vocabulary import TaskVocabulary
from primer.errors import UsageError

SPLITS = ("train", "validation")
FEATURE = "text"
_OWN = "sotu"  # The vocabulary of the ids, unless gin chooses another.

_FILES_AT_ONCE = 16
_SHUFFLED_RECORDS = 2_000
_HEADER = struct.Struct("<QI")  # Length of a record, and the checksum of these eight bytes.
_FOOTER = 4
_NUMBER = re.compile(r"_(\d+)\.tfrecords$")


path_settings.declare("gpt_neo_records.glob", "gpt_neo_records.validation_glob")


@gin.configurable("gpt_neo_records", module="primer")
@dataclasses.dataclass(frozen=True)
class GptNeoRecords:
    """The files and the vocabulary of their ids.

    Attributes:
        glob: the files of the training split, a pattern or a list of patterns.
        validation_glob: those of the validation split.
        vocabulary_size: the number of ids, where they are not those of task_vocabulary.
        end_token: with `vocabulary_size`, the id that ends a document.
    """

    glob: str | list[str] | None = None
    validation_glob: str | list[str] | None = None
    vocabulary_size: int | None = None
    end_token: int | None = None

    def paths(self, split: str) -> list[str]:
        """Returns the files of a split, sorted; raises UsageError if there are none."""
        name = "glob" if split == "train" else "validation_glob"
        value = getattr(self, name)
        if not value:
            raise UsageError(
                f"gpt_neo_records.{name} is not set; set it to the files of split {split!r}, as in "
                f"--gin_param=\"gpt_neo_records.{name} = '/data/{split}_*.tfrecords'\""
            )
        return text_files.expand_glob(value, f"gpt_neo_records.{name}")


class RecordVocabulary(IdVocabulary):
    """The task's vocabulary, or ids without texts if `gpt_neo_records.vocabulary_size` is set."""

    def ids(self) -> Ids | None:
        """Returns the ids, each one higher than in the files, or None.

        Raises:
            UsageError: gpt_neo_records.end_token is no id of the vocabulary.
        """
        settings = GptNeoRecords()
        end, size = settings.end_token, settings.vocabulary_size
        if size is None:
            return None
        if end is None or not 0 <= end < size:
            raise UsageError(
                f"gpt_neo_records.end_token is {end!r}; expected the id below {size:,} that ends a "
                "document (GPT-2's is 50256)"
            )
        return Ids(size + 1, end + 1, f"{size}, end {end}")


class RecordSource(seqio.DataSource):
    """The records of GPT-Neo's files, as {"targets": [length] int32}.

    Attributes:
        keeps_text: False: the files do not have the texts of the ids.
    """

    keeps_text = False

    def __init__(self) -> None:
        super().__init__(splits=SPLITS, num_input_examples=None, caching_permitted=False)

    @property
    def supports_arbitrary_sharding(self) -> bool:
        """False: a shard is a file, as in `seqio.DataSource`."""
        return False

    def list_shards(self, split: str) -> list[str]:
        """Returns the files of a split."""
        return GptNeoRecords().paths(split)

    def input_files(self, split: str) -> list[str]:
        """Returns the files of a split, as `DocumentSource.input_files`."""
        return GptNeoRecords().paths(split)

    def check(self, split: str, data_dir: str | None = None) -> None:
        """Raises UsageError for a truncated file or one whose ids exceed the vocabulary."""
        del data_dir
        for path in GptNeoRecords().paths(split):
            _check_file(path)

    def describe_availability(self, data_dir: str | None = None) -> availability.Availability:
        """Returns where the files of both splits are; opens none."""
        del data_dir
        settings = GptNeoRecords()
        patterns = [
            p for value in (settings.glob, settings.validation_glob) for p in _listed(value)
        ]
        place = ", ".join(patterns) or "gpt_neo_records.glob: not set"
        if any(map(user_paths.is_remote, patterns)):
            return availability.Availability("not looked at", place)
        found = [
            path
            for pattern in patterns
            for path in text_files.matching_files(pattern, "gpt_neo_records.glob")
        ]
        hint = "primer data prepare --format gpt_neo, or GPT-Neo's create_tfrecords.py"
        return availability.of_files(found, place, hint)

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
        **options: Any,
    ) -> tf.data.Dataset:
        """Returns the records of a split, as `seqio.DataSource.get_dataset`."""
        del options
        settings = GptNeoRecords()
        paths = tf.data.Dataset.from_tensor_slices(settings.paths(split))
        paths = tf_data.shard_of(paths, shard_info)
        if shuffle:
            paths = paths.shuffle(len(settings.paths(split)), seed=seed)
        records = paths.interleave(
            tf.data.TFRecordDataset, cycle_length=_FILES_AT_ONCE if shuffle else 1
        )
        if shuffle:
            records = records.shuffle(_SHUFFLED_RECORDS, seed=seed)
        raised = _offset(settings)
        return records.map(lambda record: {"targets": _ids(record) + raised}, tf.data.AUTOTUNE)


def _offset(settings):
    """What an id is higher in the model than in a file."""
    return 1 if settings.vocabulary_size is not None else TaskVocabulary(_OWN).id_offset


def _listed(value):
    return [value] if isinstance(value, str) else list(value or [])


def _ids(record):
    feature = tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True)
    return tf.cast(tf.io.parse_single_example(record, {FEATURE: feature})[FEATURE], tf.int32)


def _check_file(path):
    """Checks the length of each record, and the ids of the first one."""
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            number, first = _walk(file, path)
    except tf.errors.OpError as error:
        raise UsageError(f"{path} cannot be read: {files.first_line(error)}") from error
    expected = _NUMBER.search(os.path.basename(path))
    if expected and int(expected[1]) != number:
        raise UsageError(
            f"{path} has {number:,} records; expected the {int(expected[1]):,} of its name: write "
            "or copy it again"
        )
    if first is not None:
        _check_ids(path, first)


def _walk(file, path):
    """Returns the number of records, and the first of them."""
    number, first, position = 0, None, 0
    size = file.size()
    while position < size:
        file.seek(position)
        header = file.read(_HEADER.size)
        length = _HEADER.unpack(header)[0] if len(header) == _HEADER.size else size
        if position + _HEADER.size + length + _FOOTER > size:
            raise UsageError(
                f"{path} ends inside its record {number + 1:,}: it is truncated or no TFRecord "
                "file; write or copy it again"
            )
        if first is None:
            first = file.read(length)
        position += _HEADER.size + length + _FOOTER
        number += 1
    return number, first


def _check_ids(path, record):
    try:
        features = tf.train.Example.FromString(record).features.feature
        ids = features[FEATURE].int64_list.value if FEATURE in features else None
    except Exception as error:  # protobuf's DecodeError moved between its releases.
        if type(error).__name__ != "DecodeError":
            raise
        ids = None
    if ids is None:
        raise UsageError(
            f"{path}: its records have no int64 feature {FEATURE!r}, as GPT-Neo's have"
        )
    settings = GptNeoRecords()
    size = RecordVocabulary(_OWN).vocab_size - _offset(settings)
    if ids and not 0 <= min(ids) <= max(ids) < size:
        raise UsageError(
            f"{path} has ids from {min(ids)} to {max(ids)}; expected ids below {size:,}, the size "
            "of the vocabulary: set task_vocabulary to that of the file, or "
            "gpt_neo_records.vocabulary_size"
        )
