"""The measured matrix product."""

import pytest
import tensorflow.compat.v1 as tf

from primer.runtime import precision
from primer.runtime.training import product_speed

CPU = "cpu:0"


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_the_speed_is_that_of_the_fastest_run(monkeypatch, dtype):
    monkeypatch.setattr(product_speed, "size", lambda dtype, device: 8)
    seen = []

    def seconds(sess, operation, clock):
        seen.append((operation.inputs[0].dtype.base_dtype, operation.device))
        sess.run(operation)
        return iter([4.0, 2.0, 3.0])

    monkeypatch.setattr(product_speed, "_seconds", seconds)
    assert product_speed.measure(dtype, CPU) == 2 * 8**3 / 2.0
    assert seen == [(dtype, "/device:CPU:0")]


@pytest.mark.parametrize(
    "dtype, device, flags, size",
    [
        (tf.float32, CPU, set(), 1024),
        (tf.bfloat16, CPU, {"avx512_bf16"}, 1024),
        (tf.bfloat16, CPU, {"avx2"}, 256),
        (tf.bfloat16, "GPU:0", {"avx2"}, 4096),
    ],
)
def test_the_product_is_small_where_the_processor_emulates_its_type(
    monkeypatch, dtype, device, flags, size
):
    monkeypatch.setattr(precision, "cpu_flags", lambda: flags)
    assert product_speed.size(dtype, device) == size


def test_the_clock_is_stopped_after_each_run_and_the_first_does_not_count(monkeypatch):
    now = [0.0]

    class Session:
        runs = 0

        def run(self, operation):
            self.runs += 1
            now[0] += 0.04 if self.runs > 1 else 5.0

    monkeypatch.setattr(product_speed.time, "perf_counter", lambda: now[0])
    sess = Session()
    assert list(product_speed._seconds(sess, None, lambda: now[0])) == pytest.approx([0.04] * 3)
    assert sess.runs == 4


def test_the_graph_and_the_random_numbers_of_the_run_stay(monkeypatch):
    monkeypatch.setattr(product_speed, "CPU_SIZE", 8)
    with tf.Graph().as_default() as graph:
        product_speed.measure(tf.float32, CPU)
        assert not graph.get_operations()


def test_a_real_measurement_is_a_plausible_speed():
    assert 1e8 < product_speed.measure(tf.float32, CPU) < 1e16
