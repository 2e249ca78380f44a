"""What is read of TensorFlow's traces."""

import pytest
import tensorflow.compat.v1 as tf

from primer.profiling import trace


def metadata(*runs, device="/job:localhost/replica:0/task:0/device:CPU:0"):
    """Returns a RunMetadata with (name, kind, begin, end) in nanoseconds."""
    found = tf.RunMetadata()
    stats = found.step_stats.dev_stats.add(device=device)
    for name, kind, begin, end in runs:
        stats.node_stats.add(
            node_name=name,
            timeline_label=f"{name} = {kind}(x, y)",
            all_start_nanos=begin - 5,
            op_start_rel_nanos=5,
            op_end_rel_nanos=end - begin + 5,
        )
    return found


def test_the_shortest_time_of_an_operation_counts_and_runs_of_a_step_add_up():
    first = metadata(("a", "Mul", 100, 140), ("a", "Mul", 160, 200), ("b", "Sub", 120, 130))
    second = metadata(("a", "Mul", 0, 30), ("a", "Mul", 300, 330), ("b", "Sub", 400, 450))
    found = trace.of_steps([first, second])
    assert [(o.name, o.kind, o.times) for o in found.operations] == [
        ("a", "Mul", 2),
        ("b", "Sub", 1),
    ]
    assert [o.seconds for o in found.operations] == pytest.approx([60e-9, 10e-9])
    # The first trace is shorter: from 100 to 200, nothing ran from 140 to 160, b ran beside a.
    assert (found.span, found.busy, found.most_at_once) == pytest.approx((100e-9, 80e-9, 2))
    assert not found.has_gpu


def test_what_waits_and_the_kernels_of_a_gpu_do_not_count():
    cpu = metadata(("x", "_Recv", 0, 1000), ("a", "Mul", 10, 20))
    gpu = metadata(("a", "Mul", 10, 900), device="/device:GPU:0/stream:all")
    cpu.step_stats.dev_stats.extend(gpu.step_stats.dev_stats)
    found = trace.of_steps([cpu])
    assert [(o.name, o.seconds) for o in found.operations] == [("a", pytest.approx(10e-9))]
    assert found.has_gpu
