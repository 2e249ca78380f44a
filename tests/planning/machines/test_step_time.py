"""The time of a step follows from its kernels and collectives."""

import pytest

from primer.planning.device_program.program import Collective, DeviceProgram, Kernel, Memory, Work
from primer.planning.machines import chips, step_time

MEMORY = Memory({}, {}, {}, {}, 0, 0, "", "", {}, [])


def program(kernels, collectives=(), mesh=None):
    work = {("a", "forward"): Work(flops=10**12, useful_flops=7e11)}
    return DeviceProgram(
        "train",
        mesh or {"rows": 8, "columns": 16},
        [],
        {"batch": 4, "length": 5},
        1,
        False,
        "bfloat16",
        ["a"],
        [],
        list(collectives),
        work,
        list(kernels),
        MEMORY,
    )


def test_an_operation_takes_the_longer_of_products_and_memory():
    product = Kernel("Einsum", "a", "forward", 61_500_000_000, 450_000, 450_000, "bfloat16", 2)
    copy = Kernel("Mul", "a", "backward", 0, 450_000_000, 900_000_000, "bfloat16", 1)
    time = step_time.estimate(program([product, copy]), chips.V3, 0.5)
    first, second = time.parts
    # 61.5 GFLOP at half of 61.5 TFLOP/s, twice; 450 MB at 450 GB/s.
    assert (first.compute, first.operations) == pytest.approx((4e-3, 4e-3))
    assert (second.memory, second.operations) == pytest.approx((1e-3, 1e-3))
    assert time.seconds == pytest.approx(5e-3)
    assert time.tokens_per_second == pytest.approx(20 / 5e-3)
    assert time.model_utilization == pytest.approx(7e11 / (5e-3 * 61.5e12))


def test_what_is_recomputed_is_not_useful():
    work = Work(flops=10, useful_flops=7.0)
    assert step_time.useful_flops(work, "backward") == 7
    assert step_time.useful_flops(work, step_time.RECOMPUTE) == 0


def test_collectives_come_on_top_and_the_lower_bound_hides_them():
    copy = Kernel("Mul", "a", "forward", 0, 450_000_000, 900_000_000, "bfloat16", 1)
    reduced = Collective(
        "all_reduce", "all_reduce_sum", ("columns",), 16, 10**8, "bfloat16", (), "a", "forward", 3
    )
    time = step_time.estimate(program([copy], [reduced]), chips.V3)
    seconds = 3 * 2 * 15 / 16 * 1e8 / 100e9
    assert time.by_axes() == {"columns": pytest.approx(seconds)}
    assert time.seconds == pytest.approx(1e-3 + seconds)
    assert time.overlapped == pytest.approx(max(1e-3, seconds))


CPU = chips.Chip(
    *("cpu", "", {"float32": 1e12}, 1e9, 1e10),
    shares_host=True,
    operation_seconds=1e-6,
    transfer_seconds=2e-6,
)


def test_devices_of_a_processor_share_it_and_fuse_nothing():
    copy = Kernel("Mul", "a", "forward", 0, 10**7, 2 * 10**7, "float32", 1)
    one = step_time.estimate(program([copy], mesh={"rows": 1}), CPU)
    four = step_time.estimate(program([copy], mesh={"rows": 4}), CPU)
    assert one.seconds == pytest.approx(2e-3 + 1e-6)
    assert four.seconds == pytest.approx(4 * one.seconds)


def test_collectives_of_a_processor_are_operations():
    reduced = Collective(
        "all_reduce", "all_reduce_sum", ("rows",), 8, 4096, "float32", (1024,), "a", "forward", 3
    )
    time = step_time.estimate(program([], [reduced], mesh={"rows": 8}), CPU)
    # On each of 8 devices 20 operations and 14 transfers; 7 times the bytes.
    assert time.seconds == pytest.approx(3 * 8 * (20e-6 + 28e-6 + 7 * 4096 / 1e10))
