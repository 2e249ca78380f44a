"""Rows of the task `text`, and numpy's versions of them on the same bytes."""

import numpy as np
import seqio

LENGTH = 16
EOS = 1


def tokens(text):
    """As bytes: T5's byte vocabulary begins behind pad, eos and unk."""
    return [byte + 3 for byte in text.encode()]


def joined(texts):
    return np.array([token for text in texts for token in [*tokens(text), EOS]])


def rows(number=None, **options):
    """The first rows of the task, as lists."""
    settings = {"shuffle": False, "num_epochs": 1, **options}
    dataset = seqio.get_mixture_or_task("text").get_dataset(
        {"inputs": 1, "targets": LENGTH}, "train", **settings
    )
    dataset = dataset if number is None else dataset.take(number)
    return [example["targets"].tolist() for example in dataset.as_numpy_iterator()]


def cut(ids):
    return [ids[start : start + LENGTH].tolist() for start in range(0, len(ids), LENGTH)]


def stream(columns, length=LENGTH, epochs=3, ids=None):
    """The columns of a text, by hand: {column: all its tokens}."""
    share, longer = divmod(len(ids), columns)
    sizes = [share + (column < longer) for column in range(columns)]
    parts = np.split(ids, np.cumsum(sizes)[:-1])
    return [np.tile(part, epochs) for part in parts]
