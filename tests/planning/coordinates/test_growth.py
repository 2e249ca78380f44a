"""Slopes equal numpy's fit of a line, and the verdicts follow from them."""

import json
import math

import numpy as np
import pytest

from primer.planning.coordinates import growth
from primer.planning.coordinates.activations import Output

WIDTHS = [32, 64, 256]


def outputs(size=0.0, change=0.0, part="attention"):
    """Two steps, sizes and changes as these powers of the width."""
    return [
        Output("layer", part, "SelfAttention", [0.5, w**size, w**size], [0, w**change, w**change])
        for w in WIDTHS
    ]


def grown(**powers):
    (found,) = growth.of_outputs(WIDTHS, [[output] for output in outputs(**powers)])
    return found


def test_slopes_equal_numpys():
    values = np.random.default_rng(0).uniform(0.1, 2.0, [3])
    expected = np.polyfit(np.log(WIDTHS), np.log(values), 1)[0]
    assert growth.slope(WIDTHS, values.tolist()) == pytest.approx(expected, rel=1e-9)


def test_a_power_of_the_width_is_its_slope():
    found = grown(size=0.125, change=-0.25)
    assert found.size_slope == pytest.approx([0.0, 0.125, 0.125])
    assert found.change_slope == pytest.approx([0.0, -0.25, -0.25])
    assert found.size[1] == [w**0.125 for w in WIDTHS]


@pytest.mark.parametrize(
    ("powers", "verdict"),
    [
        ({}, "flat"),
        ({"size": 0.19, "change": -0.39}, "flat"),
        ({"size": 0.21}, "grows"),
        ({"change": 0.21}, "grows"),
        ({"change": -0.41}, "vanishes"),
        ({"change": -0.5, "part": "logits"}, "falls"),
        ({"change": 0.5, "part": "logits"}, "grows"),
        ({"size": -0.5}, "flat"),  # Sizes before training may fall; what training changes may not.
    ],
)
def test_verdicts(powers, verdict):
    found = grown(**powers)
    assert found.verdict == verdict
    assert found.is_flat == (verdict in ("flat", "falls"))


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0])
def test_outputs_without_a_size_are_not_flat_and_have_no_number_in_json(value):
    measured = [[output] for output in outputs()]
    measured[1][0].size[2] = value
    found = growth.of_outputs(WIDTHS, measured)
    assert found[0].verdict == "grows"
    (data,) = growth.as_data(found)
    assert data["size_slope"][2] is None
    json.loads(json.dumps(data, allow_nan=False))
