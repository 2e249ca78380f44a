"""Reads records with TensorFlow's own parser; runs the data commands in this process."""

import argparse
import importlib
import pathlib

import numpy as np
import tensorflow as tf


def ids(folder, pattern, feature):
    """Yields the ids of each record of the matching files, in order."""
    for path in sorted(pathlib.Path(folder).glob(pattern)):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            example = tf.train.Example.FromString(record)
            yield np.array(example.features.feature[feature].int64_list.value, np.int32)


def run(name, words):
    """Returns the exit code of `primer data NAME words...`."""
    module = importlib.import_module(f"primer.commands.data.{name}")
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return module.run(parser.parse_args(list(map(str, words))))
