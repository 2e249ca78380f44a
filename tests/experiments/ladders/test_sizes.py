"""Numbers of parameters become depths of the ladder of sizes."""

import pytest

from primer.common.settings import ladder_depth
from primer.errors import UsageError
from primer.experiments.ladders import sizes


@pytest.mark.parametrize(
    "text, depths",
    [
        ("3M,10M,30M", [4, 6, 8]),
        ("10m, 3M", [4, 6]),
        ("400K,1.3M", [2, 3]),
        ("49K", [1]),
        ("1000000000", [27]),  # The nearest depth.
        ("1B", [28]),  # The depth of sizes/ladder_1b.gin.
        (",".join(sizes.named_depths()), sorted(sizes.named_depths().values())),
    ],
)
def test_sizes_are_those_of_the_ladder(text, depths):
    assert [size.depth for size in sizes.parse(text)] == depths


def test_the_nearest_depth_is_the_one_of_the_smallest_ratio():
    for depth in range(1, 40):
        exact = ladder_depth.parameters(depth)
        assert exact == 49_152 * depth**3
        assert ladder_depth.nearest(exact) == depth
        between = (exact * ladder_depth.parameters(depth + 1)) ** 0.5
        assert ladder_depth.nearest(between * 0.999) == depth
        assert ladder_depth.nearest(between * 1.001) == depth + 1


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "expected numbers of parameters, as 3M,10M,30M"),
        ("3M,,10M", "expected numbers of parameters"),
        ("small", "--sizes 'small': expected numbers of parameters"),
        ("0M", "expected numbers of parameters"),
        ("-3M", "expected numbers of parameters"),
        ("30K", "one layer of width 64, has 49,152 parameters"),
        ("3M,3.2M", "3M and 3.2M are one model of 4 layers"),
    ],
)
def test_other_sizes_are_refused(text, message):
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        sizes.parse(text)
