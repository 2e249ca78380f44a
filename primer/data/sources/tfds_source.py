"""A prepared data set of TensorFlow Datasets as a seqio data source that uses no network."""

import functools
import os
from collections.abc import Sequence

import seqio
import tensorflow as tf
import tensorflow_datasets as tfds

from primer.common import files, user_paths
from primer.data.sources import availability
from primer.data.sources.availability import Availability
from primer.errors import UsageError


class PreparedTfdsSource(seqio.TfdsDataSource):
    """A prepared TensorFlow data set, read from its files only.

    seqio's own source lets TensorFlow Datasets search the network for missing data, which without a
    network fails only after minutes. This one reads `<data dir>/<name>/<version>` or reports what
    is missing. The data dir is `--t5_tfds_data_dir`, else the variable TFDS_DATA_DIR, else
    ~/tensorflow_datasets.

    Args:
        tfds_name: name, config if any, and version, as "c4/en:3.0.1".
        splits: name -> slice of TensorFlow Datasets, as {"validation": "train[98%:]"}.
        hint: how to get the data, for the error when they are missing.
        unit: what the text of an example is: a "document" or a "line".
    """

    def __init__(
        self, tfds_name: str, splits: dict[str, str], hint: str, unit: str = "document"
    ) -> None:
        super().__init__(tfds_name=tfds_name, splits=splits, read_only=True)
        self._name = tfds_name
        self._slices = splits
        self._hint = hint
        self.unit = unit

    def directory(self, data_dir: str | None = None) -> str:
        """Returns the folder of the prepared data under `data_dir`, or under the run's."""
        # The loader keeps the first --t5_tfds_data_dir it has seen; a notebook may set another.
        self.tfds_dataset.override_data_dir(None)
        data_dir = data_dir or self.tfds_dataset.data_dir or tfds.core.constants.DATA_DIR
        return os.path.join(user_paths.expand(str(data_dir)), *self._name.split(":"))

    def describe_availability(self, data_dir: str | None = None) -> Availability:
        """Describes where the prepared data are; quick, uses no network."""
        folder = self.directory(data_dir)
        if user_paths.is_remote(folder):
            return Availability("not looked at", folder)
        if not os.path.isfile(os.path.join(folder, "dataset_info.json")):
            return Availability("missing", folder, hint=self._hint)
        return availability.of_files(self.record_files(data_dir), folder, self._hint)

    def check(self, split: str, data_dir: str | None = None) -> None:
        """Raises UsageError unless every file of `split` exists, in the expected version."""
        folder = self.directory(data_dir)
        reason = files.read_obstacle(os.path.join(folder, "dataset_info.json"))
        if reason:
            raise UsageError(
                f"no prepared data of {self._name} in {folder} ({reason}"
                f"{_other_versions(folder)}); name the folder that "
                f"holds {self._name.split('/')[0].split(':')[0]}/ with --t5_tfds_data_dir; "
                f"{self._hint}"
            )
        version, found = self._name.split(":")[1], str(_builder(folder).info.version)
        if found != version:
            raise UsageError(
                f"{folder}/dataset_info.json is of version {found}; expected {version}; "
                f"{self._hint}"
            )
        expected = self._expected_files(split, folder)
        missing = sorted(set(expected) - set(tf.io.gfile.listdir(folder)))
        if missing or not expected:
            raise UsageError(
                f"{folder} lacks {len(missing)} of the {len(expected)} files of split {split!r} of "
                f"{self._name}{', first ' + missing[0] if missing else ''}; copy or prepare it "
                f"again; {self._hint}"
            )

    def _expected_files(self, split, folder):
        base = self._slices[split].split("[")[0]
        splits = _builder(folder).info.splits
        if base not in splits:
            return []
        return [os.path.basename(str(path)) for path in splits[base].filepaths]

    def record_files(self, data_dir: str | None = None) -> list[str]:
        """Returns the paths of the files of all splits."""
        folder = self.directory(data_dir)
        names = {name for split in self._slices for name in self._expected_files(split, folder)}
        return [os.path.join(folder, name) for name in sorted(names)]

    def identity_files(self) -> list[str]:
        """Returns the file that says which data these are: name, version, size of each split."""
        return [os.path.join(self.directory(), "dataset_info.json")]

    def input_files(self, split: str) -> list[str]:
        """Returns the files of a split, as `DocumentSource.input_files`."""
        self.check(split)
        folder = self.directory()
        return [os.path.join(folder, name) for name in self._expected_files(split, folder)]

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
        *,
        sequence_length: dict[str, int] | None = None,
        use_cached: bool = False,
        num_epochs: int | None = 1,
    ) -> tf.data.Dataset:
        """Returns the examples of a split; see seqio.DataSource."""
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

    def total_bytes(self) -> int:
        """Returns the size of all splits."""
        return _builder(self.directory()).info.dataset_size

    def part(self, split: str, index: int, parts: int, seed: int | None = None) -> tf.data.Dataset:
        """Returns part `index` of `parts` of a split, in a fixed order; the parts are disjoint.

        A part is contiguous. It is a random sample all the same: TensorFlow Datasets sorts the
        examples of a split by a hash when it prepares a data set.
        """
        del seed
        self.check(split)
        config = tfds.ReadConfig(skip_prefetch=True, try_autocache=False)
        subsplit = tfds.even_splits(self._slices[split], n=parts)[index]
        return _builder(self.directory()).as_dataset(split=subsplit, read_config=config)

    def num_input_examples(self, split: str) -> int | None:
        """Returns the examples of the split; None for so few that seqio would cache them."""
        number = self.count(split)
        return number if number > _SEQIO_CACHE_LIMIT else None

    def count(self, split: str) -> int:
        """Returns the number of examples of a split, from the metadata of the prepared data."""
        self.check(split)
        return _builder(self.directory()).info.splits[self._slices[split]].num_examples

    def list_shards(self, split: str) -> Sequence[str]:
        """Returns the names of the files of a split."""
        self.check(split)
        info = _builder(self.directory()).info.splits[self._slices[split]]
        return [instruction.filename for instruction in info.file_instructions]


# seqio caches fewer examples in memory; DocumentSource says why nothing is cached here.
_SEQIO_CACHE_LIMIT = 10_000


def _other_versions(folder: str) -> str:
    """Names the versions of a data set that are prepared beside the missing one."""
    parent = os.path.dirname(folder)
    if files.read_obstacle(parent):
        return ""
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(parent)]
    versions = [
        name
        for name in sorted(names)
        if tf.io.gfile.exists(os.path.join(parent, name, "dataset_info.json"))
    ]
    return f"; {parent} has {', '.join(versions)}" if versions else ""


@functools.cache
def _builder(folder: str):
    return tfds.builder_from_directory(folder)
