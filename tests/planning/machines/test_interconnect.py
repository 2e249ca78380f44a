"""Times of collectives equal numbers worked out by hand from the chips' links."""

import pytest

from primer.planning.machines import chips, interconnect

GB = 10**9


def axis(chip, mesh, name):
    return interconnect.axes_of(chip, mesh)[name]


def test_cores_of_a_v3_chip_lie_in_the_last_axis_and_share_links_over_the_others():
    axes = interconnect.axes_of(chips.V3, {"rows": 8, "columns": 16})
    assert axes["rows"].bandwidth == 50 * GB  # A line of 8 chips, a link for two cores.
    assert axes["columns"].bandwidth == 100 * GB
    wide = interconnect.axes_of(chips.V3, {"rows": 32, "columns": 64})
    assert wide["rows"].bandwidth == 100 * GB  # 32 chips close to a ring: both directions.
    assert wide["columns"].bandwidth == 200 * GB
    assert chips.V3.peak_of("bfloat16") == 61.5e12 and chips.V3.memory == 16 * 2**30


def test_gpus_of_a_node_and_beyond():
    axes = interconnect.axes_of(chips.H100, {"batch": 4, "model": 8})
    assert axes["model"].bandwidth == 450 * GB
    assert axes["batch"].bandwidth == 50 * GB  # Each of the eight has its own adapter.
    one = axis(chips.H100, {"batch": 32}, "batch")
    assert one.bandwidth == 400 * GB  # A ring leaves a node over all its adapters.


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("all_reduce", 2 * 7 / 8 * 1e9 / 50e9),
        ("reduce_scatter", 7 / 8 * 1e9 / 50e9),
        ("all_gather", 7 * 1e9 / 50e9),
        # Four devices send half of theirs to the other four, over one link.
        ("all_to_all", 4 * 0.5e9 / 50e9),
        ("permute", 1e9 / 50e9),
    ],
)
def test_seconds_of_a_gigabyte_over_a_line_of_eight(kind, expected):
    rows = axis(chips.V3, {"rows": 8, "columns": 16}, "rows")
    assert interconnect.seconds(kind, 1e9, [rows]) == pytest.approx(expected)


def test_an_all_reduce_over_both_axes_scatters_over_the_faster_one_first():
    axes = interconnect.axes_of(chips.V3, {"rows": 8, "columns": 16})
    expected = 2 * (15 / 16 * 1e9 / 100e9 + 7 / 8 * (1e9 / 16) / 50e9)
    both = [axes["rows"], axes["columns"]]
    assert interconnect.seconds("all_reduce", 1e9, both) == pytest.approx(expected)


def test_an_axis_of_one_device_and_an_unknown_collective():
    one = axis(chips.V4, {"rows": 1, "columns": 4}, "rows")
    assert interconnect.seconds("all_reduce", 1e9, [one]) == 0
    with pytest.raises(ValueError, match="'scatter' is no collective"):
        interconnect.seconds("scatter", 1, [axis(chips.V4, {"a": 2}, "a")])
