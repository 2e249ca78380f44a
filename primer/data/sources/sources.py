"""Where documents come from: seqio data sources that never wait for a network.

Both kinds give examples with a text under one key, in an order that a seed fixes, and both have
`check(split)`, which says in one line why a split cannot be read, before any pipeline is built.
"""

import functools
import os
from collections.abc import Callable, Sequence

import seqio
import tensorflow as tf
import tensorflow_datasets as tfds

from primer.common import files, tf_data
from primer.data.sources import availability
from primer.data.sources.availability import Whereabouts
from primer.errors import UsageError


class DocumentSource(seqio.DataSource):
    """Documents that a function of ours reads from files.

    Args:
        dataset_fn: (split, shuffle, seed) -> data set of {"text": scalar string}.
        splits: the names of the splits.
        check: (split) -> a remark or None; raises UsageError when the split cannot be read.
        texts_fn: (split) -> the texts that evaluation counts, in order, where they are not the
            documents that training reads; as data set of {"text": scalar string}.
        whereabouts_fn: () -> Whereabouts of the files; must be quick and ask no network.
        unit: what such a text is: a "document", a "line", or the whole "split".
        part_fn: (split, index, parts) -> the data set of one of so many parts of a split.
        parts: how to read a share of the documents, as `text_parts` has it: `read`,
            `size` and `describe`. None reads all of them and takes every so many.
    """

    def __init__(
        self,
        dataset_fn: Callable,
        splits: Sequence[str],
        check: Callable,
        texts_fn: Callable | None = None,
        whereabouts_fn: Callable[[], Whereabouts] | None = None,
        unit: str = "document",
        part_fn: Callable | None = None,
        parts=None,
    ):
        # seqio keeps a source with a known, small number of examples in memory. Ours are read
        # from files again each epoch, in a new order, and a checkpoint of the pipeline's position
        # does not contain the corpus: so the number is left unknown.
        super().__init__(splits=tuple(splits), num_input_examples=None)
        self._dataset_fn = dataset_fn
        self._check = check
        self._texts_fn = texts_fn
        self._whereabouts_fn = whereabouts_fn
        self.unit = unit
        self._part_fn = part_fn
        self.parts = parts

    def texts(self, split: str) -> tf.data.Dataset:
        """The texts of a split that evaluation counts, in order, as {"text": scalar string}."""
        if self._texts_fn:
            return self._texts_fn(split)
        return self._dataset_fn(split, False, None)

    def whereabouts(self, data_dir: str | None = None) -> Whereabouts | None:
        """Where its files are, or None where nobody said how to find that out."""
        del data_dir
        return self._whereabouts_fn() if self._whereabouts_fn else None

    @property
    def supports_arbitrary_sharding(self) -> bool:
        return False

    def list_shards(self, split: str) -> Sequence[str]:
        return [split]

    def check(self, split: str, data_dir: str | None = None) -> str | None:
        del data_dir
        return self._check(split)

    def part(self, split: str, index: int, parts: int) -> tf.data.Dataset:
        """One of `parts` parts of a split, each document in one of them, in order."""
        if self._part_fn:
            return self._part_fn(split, index, parts)
        return self._dataset_fn(split, False, None).shard(parts, index)

    def count(self, split: str) -> int:
        """The number of documents of a split; reads them all."""
        documents = functools.partial(self._dataset_fn, split, False, None)
        return tf_data.count(documents)

    def get_dataset(
        self,
        split="train",
        shuffle=True,
        seed=None,
        shard_info=None,
        *,
        sequence_length=None,
        use_cached=False,
        num_epochs=1,
    ) -> tf.data.Dataset:
        del sequence_length, use_cached, num_epochs
        dataset = self._dataset_fn(split, shuffle, seed)
        if shard_info and shard_info.num_shards > 1:
            dataset = dataset.shard(shard_info.num_shards, shard_info.index)
        return dataset


class PreparedTfdsSource(seqio.TfdsDataSource):
    """A TensorFlow data set that somebody has prepared, read from its files alone.

    seqio's own source lets TensorFlow Datasets look for missing data on the network, which takes
    minutes to fail without one. This one reads `<data dir>/<name>/<version>` or says what is not
    there. The data dir is `--t5_tfds_data_dir`, else the variable TFDS_DATA_DIR, else
    ~/tensorflow_datasets.

    Args:
        tfds_name: name, config if any, and version, as "c4/en:3.0.1".
        splits: name -> slice of TensorFlow Datasets, as {"validation": "train[98%:]"}.
        way_out: how to get the data, for the error of someone who has none.
        unit: what an example's text is, a "document" or a "line".
    """

    def __init__(
        self, tfds_name: str, splits: dict[str, str], way_out: str, unit: str = "document"
    ):
        super().__init__(tfds_name=tfds_name, splits=splits, read_only=True)
        self._name = tfds_name
        self._slices = splits
        self._way_out = way_out
        self.unit = unit

    def directory(self, data_dir: str | None = None) -> str:
        """The folder of the prepared data under `data_dir`, or under the one set for the run."""
        # The loader keeps the first --t5_tfds_data_dir it has seen; a notebook may set another.
        self.tfds_dataset.override_data_dir(None)
        data_dir = data_dir or self.tfds_dataset.data_dir or tfds.core.constants.DATA_DIR
        return os.path.join(os.path.expanduser(str(data_dir)), *self._name.split(":"))

    def whereabouts(self, data_dir: str | None = None) -> Whereabouts:
        """Where its prepared data are; quick, asks no network."""
        folder = self.directory(data_dir)
        if availability.is_remote(folder):
            return Whereabouts("not looked at", folder)
        if not os.path.isfile(os.path.join(folder, "dataset_info.json")):
            return Whereabouts("missing", folder, hint=self._way_out)
        return availability.of_files(self.record_files(data_dir), folder, self._way_out)

    def check(self, split: str, data_dir: str | None = None) -> None:
        """Raises UsageError unless every file of `split` is there."""
        folder = self.directory(data_dir)
        reason = files.obstacle(os.path.join(folder, "dataset_info.json"))
        if reason:
            raise UsageError(
                f"no prepared data of {self._name} in {folder} ({reason}"
                f"{_other_versions(folder)}); name the folder that "
                f"holds {self._name.split('/')[0].split(':')[0]}/ with --t5_tfds_data_dir; "
                f"{self._way_out}"
            )
        version, found = self._name.split(":")[1], str(_builder(folder).info.version)
        if found != version:
            raise UsageError(
                f"{folder}/dataset_info.json is of version {found}; expected {version}; "
                f"{self._way_out}"
            )
        expected = self._expected_files(split, folder)
        missing = sorted(set(expected) - set(tf.io.gfile.listdir(folder)))
        if missing or not expected:
            raise UsageError(
                f"{folder} lacks {len(missing)} of the {len(expected)} files of split {split!r} of "
                f"{self._name}{', first ' + missing[0] if missing else ''}; copy or prepare it "
                f"again; {self._way_out}"
            )

    def _expected_files(self, split, folder):
        base = self._slices[split].split("[")[0]
        splits = _builder(folder).info.splits
        if base not in splits:
            return []
        return [os.path.basename(str(path)) for path in splits[base].filepaths]

    def record_files(self, data_dir: str | None = None) -> list[str]:
        """The paths of the files of all splits."""
        folder = self.directory(data_dir)
        names = {name for split in self._slices for name in self._expected_files(split, folder)}
        return [os.path.join(folder, name) for name in sorted(names)]

    def get_dataset(
        self,
        split="train",
        shuffle=True,
        seed=None,
        shard_info=None,
        *,
        sequence_length=None,
        use_cached=False,
        num_epochs=1,
    ) -> tf.data.Dataset:
        del sequence_length, use_cached, num_epochs
        self.check(split)
        # try_autocache would keep small data sets in memory, in the order of the first epoch.
        config = tfds.ReadConfig(shuffle_seed=seed, skip_prefetch=True, try_autocache=False)
        if shard_info:
            config.input_context = tf.distribute.InputContext(
                num_input_pipelines=shard_info.num_shards, input_pipeline_id=shard_info.index
            )
        return _builder(self.directory()).as_dataset(
            split=self._slices[split], shuffle_files=shuffle, read_config=config
        )

    def size(self) -> int:
        """Bytes of all splits."""
        return _builder(self.directory()).info.dataset_size

    def part(self, split: str, index: int, parts: int) -> tf.data.Dataset:
        """One of `parts` parts of a split, each example in one of them, in order."""
        self.check(split)
        config = tfds.ReadConfig(skip_prefetch=True, try_autocache=False)
        subsplit = tfds.even_splits(self._slices[split], n=parts)[index]
        return _builder(self.directory()).as_dataset(split=subsplit, read_config=config)

    def num_input_examples(self, split: str) -> int | None:
        """Examples of the split, or None where seqio would keep so few of them in memory."""
        number = self.count(split)
        return number if number > _KEPT_IN_MEMORY else None

    def count(self, split: str) -> int:
        """The number of examples of a split, as its prepared data say."""
        self.check(split)
        return _builder(self.directory()).info.splits[self._slices[split]].num_examples

    def list_shards(self, split: str) -> Sequence[str]:
        self.check(split)
        info = _builder(self.directory()).info.splits[self._slices[split]]
        return [instruction.filename for instruction in info.file_instructions]


# seqio's limit. See DocumentSource for why nothing is kept in memory.
_KEPT_IN_MEMORY = 10_000


def _other_versions(folder: str) -> str:
    """Says which versions of a data set lie beside the one that is not there."""
    parent = os.path.dirname(folder)
    if files.obstacle(parent):
        return ""
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(parent)]
    found = [
        name
        for name in sorted(names)
        if tf.io.gfile.exists(os.path.join(parent, name, "dataset_info.json"))
    ]
    return f"; {parent} has {', '.join(found)}" if found else ""


@functools.cache
def _builder(folder: str):
    return tfds.builder_from_directory(folder)
