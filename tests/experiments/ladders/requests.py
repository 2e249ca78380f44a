"""Requests and counts of ladders for tests, without TensorFlow."""

import dataclasses

from primer.experiments.ladders import changes, rungs, sizes
from primer.experiments.ladders.counting import Count

SETTINGS = {
    "architecture": "llama",
    "activation": "swiglu",
    "size": "ladder",
    "optimizer": "adamw",
    "schedule": "wsd",
    "task": "sotu",
}


def request(**values):
    given = {
        "settings": SETTINGS,
        "changes": changes.parse(["attention = @MDHA"]),
        "sizes": sizes.parse("50K,400K"),
        "tokens_per_parameter": 20.0,
        "rule": "olmo",
        "learning_rate": None,
        "rates": [],
        "has_own_schedule": True,
        "seeds": [1, 2],
        "evaluations": 2,
    } | values
    return rungs.Request(**given)


def counts(asked):
    """Returns counts as of a vocabulary of 1,000 ids and rows of 64 tokens."""
    found = {}
    for depth, label in rungs.commands(asked):
        layers, output = 49_152 * depth**3, 64 * depth * 1000
        count = Count(layers + 2 * output, layers, layers + output, 6.0 * layers, 1000, 64, 0, 32)
        more = 10 if label != changes.BASE else 0
        found[depth, label] = dataclasses.replace(
            count, width=64 * depth, parameters=count.parameters + more
        )
    return found


def build(asked):
    return rungs.build(asked, counts(asked))
