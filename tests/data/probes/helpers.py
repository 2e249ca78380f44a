"""Probes with settings, and what they must have in common."""

import numpy as np

from primer.data.probes import copying, induction, mqar, probe

PROBES = [
    mqar.MultiQueryRecall(length=32, vocabulary_size=30, pairs=5),
    mqar.MultiQueryRecall(length=33, vocabulary_size=24, pairs=8, power=1.0),
    mqar.MultiQueryRecall(length=24, pairs=3, random_fillers=False),
    copying.Copying(length=20, vocabulary_size=9, tokens=6),
    copying.Copying(length=13, tokens=6),
    induction.Induction(length=21, vocabulary_size=12),
    induction.Induction(length=22, vocabulary_size=12, queries=4),
]


def blocks(of, split=probe.TRAIN, run_seed=0, number=4):
    """Returns the examples of the first blocks, [examples, length]."""
    return np.concatenate([of.block(split, run_seed, place) for place in range(number)])
