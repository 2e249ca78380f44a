"""Records read by TensorFlow itself, and the data commands called in this process."""

import argparse
import importlib
import pathlib

import numpy as np
import tensorflow as tf


def ids(folder, pattern, feature):
    """The ids of each record of the files that match, in order."""
    for path in sorted(pathlib.Path(folder).glob(pattern)):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            example = tf.train.Example.FromString(record)
            yield np.array(example.features.feature[feature].int64_list.value, np.int32)


def run(name, words):
    """The exit code of `primer data NAME words...`."""
    module = importlib.import_module(f"primer.commands.data.{name}")
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return module.run(parser.parse_args(list(map(str, words))))
